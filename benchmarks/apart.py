"""Sides of a comparison as processes of one script, asked in turn for a repetition each."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from paired import Rounds, in_turn

Side = Callable[[Path], Callable[[], float]]  # a folder for its use -> what takes so many seconds


def measured(script: str, sides: Mapping[str, Side], folder: Path, repeats: int, threads: int) -> Rounds:
    """`script` calls `serve` where it is given --side NAME FOLDER."""
    pipe = subprocess.PIPE
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
    with ExitStack() as stack:
        processes = {}
        for name in sides:
            command = [sys.executable, script, "--side", name, str(folder)]
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
            processes[name] = stack.enter_context(process)  # leaving closes its pipes, by which it ends
        return in_turn({name: partial(_ask, process) for name, process in processes.items()}, repeats)


def serve(run: Callable[[], float]) -> None:
    """A side's process: a line in, a time out, until its input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print is no answer
    for _ in sys.stdin:
        print(run(), file=answers)


def _ask(process: subprocess.Popen[str]) -> float:
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())
