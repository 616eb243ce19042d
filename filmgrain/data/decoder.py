"""A decoding process as its parent sees it: started, asked, and ended by a file or when it takes too long.

On Linux it is forked, which takes milliseconds where a new Python takes a third of a second: it uses NumPy and Pillow
and no threads, as the loader's workers do. Elsewhere it is a new Python.
"""

import json
import math
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Protocol

import filmgrain

from ..files.member import Member
from . import decode
from .cache import Entry, Scaled, Source, entry_of

STARTUP = 120.0  # seconds that a decoding process may take to start
PATIENCE = 900.0  # seconds that one file may take to decode


class Process(Protocol):
    requests: IO[str]
    replies: IO[str]

    def kill(self) -> None: ...

    def code(self) -> int | None:
        """The exit code, waited for; below 0 the signal that ended it."""


class Decoder:
    """Started when it is first needed, and again after a file that ended it."""

    def __init__(self, scaled: Scaled) -> None:
        self.scaled = scaled
        self.process: Process | None = None
        self.deadline = math.inf  # of the reply that is waited for

    def entry(self, path: Source) -> Entry | str:
        """The file's entry in the cache, made if need be, or the reason why there is none."""
        process = self.process = self.process or self._start()
        member = [path.name, path.offset, path.size, path.digest] if isinstance(path, Member) else None
        request = {"path": os.fspath(path.archive if isinstance(path, Member) else path), "member": member}
        reply = self._reply(process, json.dumps(request) + "\n", PATIENCE)
        if reply is None:
            self.process = None
            late = time.monotonic() > self.deadline
            return f"takes over {PATIENCE:g} s to decode" if late else f"ends its decoder (code {process.code()})"
        if "errno" in reply:
            advice = f"cannot write the cache {self.scaled.root} ({reply['strerror']}); give data.cache another disk"
            raise OSError(reply["errno"], advice)
        return entry_of(reply["entry"], self.scaled) if "entry" in reply else reply["refused"]

    def end_if_late(self) -> None:
        """To be called now and then, by another thread than that which waits."""
        if time.monotonic() > self.deadline:
            self.kill()

    def kill(self) -> None:
        """By another thread too; that which waits goes on."""
        if self.process:
            self.process.kill()

    def stop(self) -> None:
        if process := self.process:
            self.process = None
            process.kill()
            process.code()

    def _start(self) -> Process:
        process: Process = Forked(self.scaled) if forks() else Spawned(self.scaled)
        self.process = process
        if self._reply(process, "", STARTUP) is None:
            raise RuntimeError(f"the decoding process ended at its start (code {process.code()}); see its error above")
        return process

    def _reply(self, process: Process, request: str, patience: float) -> dict[str, Any] | None:
        """None from a process that died, or took longer than `patience` seconds and was killed."""
        self.deadline = time.monotonic() + patience
        try:
            process.requests.write(request)
            process.requests.flush()
            line = process.replies.readline()
        except BrokenPipeError:
            return None
        if not line:
            return None
        self.deadline = math.inf
        return json.loads(line)


def forks() -> bool:
    """Whether a copy of this process can decode. Copies of macOS's are not safe, and Windows has none."""
    return sys.platform == "linux" and not multiprocessing.current_process().daemon  # which may have none


class Forked:
    """A copy of this process."""

    def __init__(self, scaled: Scaled) -> None:
        asked, requests = os.pipe()
        replies, answered = os.pipe()
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=decode.forked, args=(scaled, asked, answered), daemon=True)
        self.process.start()
        os.close(asked)
        os.close(answered)
        self.requests: IO[str] = os.fdopen(requests, "w")
        self.replies: IO[str] = os.fdopen(replies)

    def kill(self) -> None:
        self.process.kill()

    def code(self) -> int | None:
        self.process.join()
        return self.process.exitcode


class Spawned:
    """A new Python."""

    def __init__(self, scaled: Scaled) -> None:
        package = str(Path(filmgrain.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "filmgrain.data.decode"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C is the parent's to answer
        )
        assert self.process.stdin and self.process.stdout
        self.requests: IO[str] = self.process.stdin
        self.replies: IO[str] = self.process.stdout
        self.requests.write(json.dumps(asdict(scaled) | {"root": os.fspath(scaled.root)}) + "\n")

    def kill(self) -> None:
        self.process.kill()

    def code(self) -> int | None:
        return self.process.wait()
