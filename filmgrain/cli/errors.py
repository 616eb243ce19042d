"""What the command line says of an error: one line, and an exit code."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

INTERNAL = 70
LOST = 75  # one of many processes; all may be started again
# By name, since to import the classes would be to import torch. The nearest class of an error's ancestors counts.
CODES = {
    "filmgrain.cli.errors.Usage": 2,
    "filmgrain.recipe_toml.RecipeError": 2,
    "filmgrain.training.place.NoDevice": 2,
    "filmgrain.training.run.ResumeRefused": 3,
    "filmgrain.files.fsio.Locked": 4,
    "filmgrain.data.NoData": 65,
    "filmgrain.files.clip.Unreadable": 65,
    "filmgrain.files.fsio.Damaged": 65,
    "filmgrain.files.tensors.Malformed": 65,
    "filmgrain.interop.Refused": 65,
    "filmgrain.conditioning.encoder.NoEncoder": 65,
    "filmgrain.runs.NotARun": 65,
    "filmgrain.watching.history.NoRun": 65,
    "filmgrain.training.checkpoint.Mismatch": 65,
    "filmgrain.training.checkpoint.NewerFormat": 65,
    "filmgrain.data.loader.WorkerLost": INTERNAL,
    "builtins.OSError": 74,
    "filmgrain.training.world.Lost": LOST,
    "filmgrain.training.world.Elsewhere": LOST,
    "filmgrain.training.keeper.NonFinite": 76,
    "filmgrain.generate.videos.NotFinite": 76,
}
ADVICE = {
    errno.ENOSPC: "; make room on that disk, or write to another",
    errno.EDQUOT: "; make room within your quota, or write to another disk",
    errno.EROFS: "; write to another disk",
    errno.EACCES: "; change what you may do there, or give another path",
}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc")


class Usage(Exception):
    """What was typed cannot be done."""


@contextmanager
def usage() -> Iterator[None]:
    """Inside, a ValueError is about what was typed."""
    try:
        yield
    except ValueError as error:
        raise Usage(str(error)) from error


def report(error: BaseException, *, debug: bool) -> int:
    """Prints the line and returns the exit code; with `debug`, the traceback before it."""
    code, text = explain(error)
    if debug:
        traceback.print_exception(error)
    with suppress(OSError):  # where the error output goes to the full disk, the code alone has to say it
        print(f"filmgrain: {text}", file=sys.stderr)
    return code


def explain(error: BaseException) -> tuple[int, str]:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"  # of a worker's traceback, the end says most
    if hasattr(error, "format_message"):  # typer's own errors about arguments
        return 2, f"{error.format_message()} (filmgrain --help)".replace("\n", " ")
    if hasattr(error, "exit_code"):  # training.stop.Stopped
        return error.exit_code, text
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return 130, "interrupted"
    for ancestor in type(error).__mro__:
        if (code := CODES.get(f"{ancestor.__module__}.{ancestor.__qualname__}")) is not None:
            return code, _storage(error) if isinstance(error, OSError) and error.strerror else text
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
        return INTERNAL, f"out of memory; lower train.batch (--batch of sample) or the clips' size ({text[:120]})"
    return INTERNAL, f"internal error: {type(error).__name__}: {text}; please report it with what --debug shows"


def _storage(error: OSError) -> str:
    """Which file, what is the matter, and what to do where that is known."""
    if not isinstance(error.filename, (str, bytes, os.PathLike)):
        return str(error.strerror)  # one of our own, which says it all
    return f"{os.fsdecode(error.filename)}: {error.strerror}{ADVICE.get(error.errno or 0, '')}"
