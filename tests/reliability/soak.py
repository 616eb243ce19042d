"""B: many steps, in which memory, open files and threads stay as they are after the first quarter."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from children import forked
from trial import Trial, unless

sys.path.append(str(Path(__file__).parents[1] / "training"))
from toy import Toy, batches_of

from filmgrain.files import fsio
from filmgrain.training import Config, Run, train
from filmgrain.training.step import Stepper

STEPS = 20_000
LOOKS = 40  # how often is looked, evenly
MEGABYTES = 4.0  # that memory may grow between the first quarter and the end


def looked() -> dict[str, float]:
    """Of this process, now."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    tasks = len(list(Path("/proc/self/task").iterdir()))
    return {
        "MB": resident,
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": max(tasks, threading.active_count()),
    }


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    steps = STEPS // 20 if quick else STEPS
    every, log = steps // LOOKS, root / "looks.jsonl"
    config = Config(
        steps=steps,
        batch=4,
        save_every=every,
        validate_every=every,
        preview_every=every,
        log_every=10,
        precision="float32",
    )

    def work() -> None:
        step = Stepper.step

        def stepped(self: Stepper, number: int, *rest: Any) -> Any:
            if number % every == every - 1:
                fsio.append_jsonl(log, {"step": number + 1, **looked()})
            return step(self, number, *rest)

        Stepper.step = stepped  # type: ignore[method-assign]
        train(Toy(), batches_of(4), config, Run(folder=root / "run"))

    ended = forked(work, root / "run.said")
    rows = fsio.read_jsonl(log)[LOOKS // 4 :]
    assert ended.code == 0 and len(rows) == LOOKS - LOOKS // 4, ended
    for what in ("MB", "open files", "threads"):
        low, high = min(row[what] for row in rows), max(row[what] for row in rows)
        grown = rows[-1][what] - rows[0][what]
        kind = f"{steps:,} steps, {what}: {rows[0][what]:.0f} to {rows[-1][what]:.0f}"
        yield Trial(
            kind, f"between {low} and {high}", unless(grown <= (MEGABYTES if what == "MB" else 0), f"grew by {grown}")
        )
