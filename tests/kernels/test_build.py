"""Compiling: once, whole files only, and silence where it cannot be."""

import ctypes
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from filmgrain.kernels import build

SOURCE = '#include "vector.h"\nextern "C" int answer() { return 42; }\n'
build_anew = build.built.__wrapped__  # not what this process has loaded already


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: None) -> Path:
    """A room of one small kernel, and the cache folder that it will have."""
    shutil.copy(build.SOURCES / "vector.h", tmp_path)
    (tmp_path / "small.cpp").write_text(SOURCE)
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    monkeypatch.setattr(build, "FLAGS", ["-O0", "-fopenmp", "-fPIC"])  # as quick as can be
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "filmgrain" / "kernels"


def answer(library: ctypes.CDLL | None) -> int:
    assert library is not None
    return library.answer()


def test_it_is_compiled_once_and_found_again(cache, monkeypatch):
    assert answer(build_anew("small")) == 42
    (made,) = cache.iterdir()  # nothing else is left
    assert made.suffix == ".so" and build.is_sound(made)
    monkeypatch.setattr(build, "compile_to", lambda *_: pytest.fail("compiled again"))
    assert answer(build_anew("small")) == 42


def test_compiling_is_said_once(cache, caplog):
    caplog.set_level("INFO", logger="filmgrain")
    build_anew("small")
    build_anew("small")
    assert [record.getMessage() for record in caplog.records] == ["compiling kernels/small.cpp, once for this machine"]


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied"])
def test_a_damaged_file_is_built_anew(cache, damage):
    build_anew("small")
    (made,) = cache.iterdir()
    content = made.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    made.unlink()  # which is loaded still
    made.write_bytes({"cut": content[:middle], "changed": flipped, "emptied": b""}[damage])
    assert not build.is_sound(made)
    assert answer(build_anew("small")) == 42
    assert build.is_sound(made)


def test_whatever_a_library_is_made_of_names_it(cache, monkeypatch):
    compiler = shutil.which("c++")
    keys = {build.key(compiler, "small")}
    (build.SOURCES / "small.cpp").write_text(SOURCE + "// more")
    keys.add(build.key(compiler, "small"))
    (build.SOURCES / "vector.h").write_text("// less")
    keys.add(build.key(compiler, "small"))
    monkeypatch.setattr(build, "FLAGS", ["-O1"])
    keys.add(build.key(compiler, "small"))
    monkeypatch.setattr(build, "processor", lambda: b"another")
    keys.add(build.key(compiler, "small"))
    assert len(keys) == 5


def test_many_at_once_leave_one_whole_file(cache):
    with ThreadPoolExecutor(3) as pool:
        assert [answer(library) for library in pool.map(build_anew, ["small"] * 3)] == [42] * 3
    (made,) = cache.iterdir()
    assert build.is_sound(made)


def test_a_broken_kernel_is_none_and_takes_no_other_down(cache):
    (build.SOURCES / "broken.cpp").write_text("int answer() {")
    assert build_anew("broken") is None
    assert list(cache.iterdir()) == []
    assert answer(build_anew("small")) == 42


def test_without_a_compiler_there_is_none(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_anew("small") is None
    failing = tmp_path / "c++"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(failing.stat().st_mode | stat.S_IXUSR)
    assert build_anew("small") is None


def test_where_nothing_can_be_written_there_is_none(cache, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert build_anew("small") is None


def test_another_system_has_none(cache, monkeypatch):
    monkeypatch.setattr(build.sys, "platform", "win32")
    assert build_anew("small") is None


def test_it_can_be_declined(cache, monkeypatch):
    monkeypatch.setenv("FILMGRAIN_KERNELS", "0")
    assert build.library("small") is None and not cache.exists()
