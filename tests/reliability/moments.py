"""Moments of a process: each effect on the disk under a folder, each named point of fsio, each step, in order.

A moment comes right before its effect: a file opened to be written, bytes written or synced, a folder made, a rename, a
removal; and one comes after a file was opened, when it is empty. Nothing is listed: Python tells of its effects itself
(audit events, PEP 578), so what a later version does to the disk is found and tried without a line here. What other
libraries write, such as safetensors, falls between two moments.
"""

import builtins
import io
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filmgrain.files import fsio
from filmgrain.training.step import Stepper

At = Callable[[str], None]
# Of an audit event: how many paths it begins with, and where the folder is given that they are relative to, if any.
EVENTS = {"open": (1, 0), "os.mkdir": (1, 2), "os.rmdir": (1, 1), "os.remove": (1, 1), "os.rename": (2, 2)}
WRITES = os.O_WRONLY | os.O_RDWR


def watch(folder: Path, at: At) -> None:
    """Calls at(name) at every moment from now on; for as long as the process lives, so only in a child."""
    root, busy = str(folder.resolve()), False

    def moment(name: str) -> None:
        nonlocal busy
        if not busy:  # what `at` does is no moment
            busy = True
            try:
                at(re.sub(rf"-{os.getpid()}\b", "-PID", name))
            finally:
                busy = False

    def heard(event: str, given: tuple[Any, ...]) -> None:
        if busy or event not in EVENTS or (event == "open" and not given[2] & WRITES):
            return
        count, within = EVENTS[event]
        places = [_path(path, given[within] if within else -1) for path in given[:count]]
        if all(place.startswith(root) for place in places):
            moment(" ".join([event.removeprefix("os."), *(os.path.relpath(place, root) for place in places)]))

    def before(call: Callable[..., Any], word: str) -> Callable[..., Any]:
        def wrapped(file: int, *rest: Any) -> Any:
            if (place := _path(file)).startswith(root):
                moment(f"{word} {os.path.relpath(place, root)}")
            return call(file, *rest)

        return wrapped

    def opening(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        opened = io_open(file, mode, *rest, **named)
        if set(mode) & set("wax+") and (place := _path(file)).startswith(root):
            moment(f"opened {os.path.relpath(place, root)}")
        return opened

    io_open = io.open
    builtins.open = io.open = opening  # type: ignore[assignment]
    sys.addaudithook(heard)
    os.write, os.fsync = before(os.write, "write"), before(os.fsync, "sync")
    fsio.point = lambda name: moment(f"point {name}")  # type: ignore[assignment]
    step = Stepper.step

    def stepped(self: Stepper, number: int, *rest: Any) -> Any:
        moment(f"step {number + 1}")
        return step(self, number, *rest)

    Stepper.step = stepped  # type: ignore[method-assign]


def _path(given: Any, folder: int = -1) -> str:
    """The absolute path of a descriptor, or of a path, which may be relative to an open folder."""
    if isinstance(given, int):
        return os.path.realpath(f"/proc/self/fd/{given}")
    text = os.fsdecode(given)
    within = os.path.realpath(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()
    parent, name = os.path.split(os.path.join(within, text))
    return os.path.join(os.path.realpath(parent), name)


# What may happen at a moment.


def kill(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def told(number: int) -> At:
    return lambda name: signal.raise_signal(number)


def failing(code: int) -> At:
    """The effect does not happen: the disk is full (ENOSPC) or broken (EIO)."""

    def fail(name: str) -> None:
        raise OSError(code, os.strerror(code), name)

    return fail


def torn(limit: int, *, deadly: bool) -> At:
    """From here on, no file can grow beyond `limit` bytes: the write that would is cut there, and kills or fails."""

    def lower(name: str) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return lower


def on(number: int, act: At) -> At:
    """Acts at the moment of that number, counted from 0, and at no other."""
    passed = iter(range(1 << 30))
    return lambda name: act(name) if next(passed) == number else None
