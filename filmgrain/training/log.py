"""What a run says: rows of metrics.jsonl always, a progress bar or plain lines, TensorBoard if asked for.

None of it can stop the training: a failure is said once and passed over.
"""

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..files import fsio
from .config import Config
from .run import Run

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container; "max", or no such file, where there is none
PLAIN_SECONDS = 15.0  # between two lines where there is no terminal to draw a bar on


class Log:
    """writes: of many processes, one alone does; the others say nothing."""

    def __init__(
        self, run: Run, config: Config, device: torch.device, console: Console | None = None, *, writes: bool = True
    ) -> None:
        self.run, self.config, self.device, self.writes = run, config, device, writes
        self.console = console or Console(highlight=False, soft_wrap=True, emoji=False, quiet=not writes)
        columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn())
        self.bar = Progress(
            *columns,
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (self.console.is_terminal and writes),
            transient=True,
        )
        self.row = self.bar.add_task("training", total=config.steps, figures="")
        self.tensorboard: Any = None
        self.since = (time.monotonic(), -1)  # when and at which step the last row was written
        self.said_plain = -math.inf
        self.failed: set[str] = set()

    def __enter__(self) -> "Log":
        self.bar.start()
        if self.config.tensorboard and self.writes:
            with self.harmless("TensorBoard"):
                from torch.utils.tensorboard import SummaryWriter

                self.tensorboard = SummaryWriter(str(self.run.folder / "tensorboard"))
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        if self.tensorboard is not None:
            with suppress(Exception):
                self.tensorboard.close()

    def say(self, text: str) -> None:
        with suppress(OSError):  # where the output goes to a full disk, or nobody reads it any more
            self.console.print(text, markup=False)

    def begin(self, step: int) -> None:
        self.since = (time.monotonic(), step)
        self.bar.update(self.row, completed=step)

    def advance(self) -> None:
        self.bar.advance(self.row)

    def metrics(self, step: int, figures: dict[str, float]) -> None:
        """A row of training figures, with the speed since the last one."""
        now, (then, last) = time.monotonic(), self.since
        speed = (step - last) / max(now - then, 1e-9)
        self.since = (now, step)
        self.figures(step, figures | {"steps_per_second": speed, "memory_gb": memory_gb(self.device)})
        left = (self.config.steps - step) / max(speed, 1e-9)
        text = f"loss {figures.get('loss', math.nan):.4f}  {speed:.2f} steps/s  {memory_gb(self.device):.1f} GB"
        self.bar.update(self.row, figures=text)
        if not self.console.is_terminal and (now - self.said_plain > PLAIN_SECONDS or step >= self.config.steps):
            self.say(f"step {step}/{self.config.steps}  {text}  {clock(left)} left")
            self.said_plain = now

    def figures(self, step: int, figures: dict[str, float]) -> None:
        """A row of finite figures for the files."""
        self.record(step, {key: value for key, value in figures.items() if math.isfinite(value)})
        if self.tensorboard is not None:
            with self.harmless("TensorBoard"):
                for key, value in figures.items():
                    self.tensorboard.add_scalar(key, value, step)

    def event(self, step: int, name: str, text: str, **details: Any) -> None:
        """Something to be told and kept: a skipped step, a failed preview, a resume."""
        self.say(f"step {step}: {text}")
        self.record(step, {"event": name, "text": text, **details})

    def record(self, step: int, row: dict[str, Any]) -> None:
        if not self.writes:
            return
        with self.harmless("metrics.jsonl"):
            fsio.append_jsonl(self.run.metrics, {"step": step, **row, "time": round(time.time(), 1)})

    @contextmanager
    def harmless(self, what: str) -> Iterator[None]:
        """Says the first failure of `what` and lets the training go on."""
        try:
            yield
        except Exception as error:
            if what not in self.failed:
                self.say(f"{what} failed and is passed over: {type(error).__name__}: {error}")
            self.failed.add(what)


def memory_gb(device: torch.device) -> float:
    """The most that the run has held: on the GPU if there is one, else of the process (nothing on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def memory_in_all(device: torch.device) -> float:
    """Gigabytes of the GPU, or of the machine or its container; infinity where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 1e9
    if not hasattr(os, "sysconf"):
        return math.inf
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = LIMIT.read_text().strip() if LIMIT.is_file() else "max"
    return min(machine, int(limit) if limit.isdigit() else machine) / 1e9


def clock(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
