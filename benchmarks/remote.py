"""The processes of a comparison, from outside: started together, asked in turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sides import SIDES

HERE = Path(__file__).parent


class Failed(Exception):
    """A side could not answer: its own traceback."""


class Worker:
    """One side, in its process."""

    def __init__(self, case: str, side: str, threads: int) -> None:
        self.side = side
        settings = {"FILMGRAIN_KERNELS": "0"} if SIDES[side].plain else {}
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)} | settings
        command = [sys.executable, str(HERE / "worker.py"), case, side, str(threads)]
        pipe = subprocess.PIPE
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # bars and tracebacks; a pipe would fill up
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.said, text=True, env=environment)

    def ask(self, do: str, **given: Any) -> Any:
        self.process.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": f"it ended:\n{self._last_words()}"}
        if "failed" in answer:
            raise Failed(f"{self.side}: {answer['failed']}")
        return answer["answer"]

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        self.process.wait()
        self.said.seek(0)
        return self.said.read()[-4000:]


@contextmanager
def workers(case: str, sides: Sequence[str], threads: int) -> Iterator[dict[str, Worker]]:
    """One for each side, ready to be asked; importing is over."""
    with ExitStack() as stack:
        started = {}
        for side in sides:
            started[side] = worker = Worker(case, side, threads)
            stack.callback(worker.close)
        for worker in started.values():
            worker.answer()
        yield started
