"""Compiles kernels/NAME.cpp by the machine's own compiler when it is first used, and keeps what comes out.

A library lies in the user's cache folder, named by a hash of what it is made from: sources, flags, compiler, processor.
Its last 32 bytes are the sha256 of those before, which loaders of libraries ignore; so a damaged file is built anew.
It is not linked with an OpenMP: it finds torch's in the process, so that there is one pool of threads.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch  # noqa: F401  # whose OpenMP must be there before any library of ours

SOURCES = Path(__file__).parent
FLAGS = ["-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-fno-math-errno", "-fno-trapping-math"]
if platform.machine() == "x86_64":
    FLAGS += ["-mprefer-vector-width=512"]  # where there are such vectors
ABOUT = Path("/proc/cpuinfo")
PATIENCE = 120  # seconds for the compiler; it takes about 3

log = logging.getLogger(__name__)


def library(name: str) -> ctypes.CDLL | None:
    """The functions of NAME.cpp; None where they cannot be had. FILMGRAIN_KERNELS=0: there are none."""
    return None if os.environ.get("FILMGRAIN_KERNELS") == "0" else built(name)


@cache
def built(name: str) -> ctypes.CDLL | None:
    """The same whatever the environment says; compiled if need be."""
    compiler = shutil.which("c++")
    if sys.platform != "linux" or compiler is None:
        return None
    try:
        path = folder() / f"{name}-{key(compiler, name)}.so"
        if not is_sound(path):
            compile_to(path, compiler, SOURCES / f"{name}.cpp")
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("kernels/%s.cpp is not used: %s %s", name, error, getattr(error, "stderr", None) or "")
        return None


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "filmgrain" / "kernels"


def key(compiler: str, name: str) -> str:
    """A hash of whatever the library of NAME.cpp depends on."""
    made_of = [*sorted(SOURCES.glob("*.h")), SOURCES / f"{name}.cpp"]
    version = run(compiler, "--version")
    parts = [path.read_bytes() for path in made_of] + [" ".join(FLAGS).encode(), version, processor()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def processor() -> bytes:
    """What the processor can do, in the system's words: a home folder may be shared by machines that differ."""
    lines = set(ABOUT.read_bytes().splitlines()) if ABOUT.exists() else set()  # it is there on Linux
    return b"\n".join(sorted(line for line in lines if line.startswith((b"model name", b"flags", b"Features", b"CPU"))))


def is_sound(path: Path) -> bool:
    content = path.read_bytes() if path.is_file() else b""
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


def compile_to(path: Path, compiler: str, source: Path) -> None:
    """Any number of processes may do this at once: each puts a whole file in place."""
    log.info("compiling kernels/%s, once for this machine", source.name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as own:
        compiled, linked = Path(own) / "kernel.o", Path(own) / "kernel.so"
        run(compiler, *FLAGS, "-c", source, "-o", compiled)
        run(compiler, "-shared", compiled, "-o", linked)
        content = linked.read_bytes()
        linked.write_bytes(content + hashlib.sha256(content).digest())
        linked.replace(path)


def run(*command: str | Path) -> bytes:
    """What it prints. Raises CalledProcessError, TimeoutExpired or OSError."""
    return subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE).stdout
