"""A run on one page of a terminal: how far it is, its losses by noise level, what happened, and its last preview."""

import itertools
import math
import time
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .history import LEVEL, Event, History, duration, one_line, smoothed

EVENTS = 6  # the last ones are shown
TOLD = {"memory_gb": "{:.1f} GB", "lr": "lr {:.3g}", "gradient_norm": "gradient {:.3g}", "skipped": "skipped {:.0f}"}
SPARKS = "▁▂▃▄▅▆▇█"
BAR, WIDTH = 60, 32  # characters of the bar and of a curve


def screen(history: History, now: float | None = None) -> RenderableType:
    """now: seconds of the clock, for what is said of silence."""
    now = time.time() if now is None else now
    return Group(*_head(history, now), Text(), _losses(history), *_events(history.events), *_files(history))


def _head(history: History, now: float) -> Iterator[RenderableType]:
    step, steps = history.step, history.steps
    of = f" of {steps:,}" if steps else ""
    yield Text.assemble((one_line(history.folder), "bold"), f"   step {step:,}{of}   {_state(history, now)}")
    if steps:
        done = BAR * min(step, steps) // steps
        yield Text("━" * done + "╌" * (BAR - done))
    told = [f"{history.speed:.2f} steps/s"] if history.speed else []
    told += [shape.format(value) for key, shape in TOLD.items() if (value := history.last(key)) is not None]
    yield Text("   ".join(told) or "no figures yet")


def _state(history: History, now: float) -> str:
    if history.finished:
        return "finished"
    silence = history.silence(now) or 0.0
    if history.quiet(now):
        since = f"no row for {duration(silence)}" if history.rows else "no row yet"
        return f"{since}: stopped, or dead; to go on: filmgrain train --resume --run {one_line(history.folder)}"
    if not history.rows:
        return "no row yet"
    left = history.seconds_left
    return f"last row {duration(silence)} ago" + (f", {duration(left)} left" if left is not None else "")


def _losses(history: History) -> RenderableType:
    table = Table("loss", "now", "least", "at step", "from first to last (log)", box=None)
    for column in table.columns[1:4]:
        column.justify = "right"
    names = ["loss", "validation/loss", *history.levels]
    for name in names:
        steps, values = history.series(name)
        finite = [(value, step) for value, step in zip(values, steps, strict=True) if math.isfinite(value)]
        if not finite:
            continue
        shown = smoothed([value for value, _ in finite]) if name == "loss" else [value for value, _ in finite]
        least, at = min(zip(shown, (step for _, step in finite), strict=True))
        table.add_row(_called(name), f"{shown[-1]:.4f}", f"{least:.4f}", f"{at:,}", spark(shown))
    return table if table.row_count else Text("no losses yet")


def _called(name: str) -> str:
    if name == "loss":
        return "training"
    return f"held out {name.removeprefix(LEVEL)}" if name.startswith(LEVEL) else "held out"


def _events(events: list[Event]) -> Iterator[RenderableType]:
    if not events:
        return
    more = f", the last {EVENTS} of {len(events):,}" if len(events) > EVENTS else ""
    yield Text(f"\nevents{more}", style="bold")
    for event in events[-EVENTS:]:
        yield Text(f"step {event.step:,}  {event.name}: {event.text}", no_wrap=True, overflow="ellipsis")


def _files(history: History) -> Iterator[RenderableType]:
    yield Text()
    if refused := history.quarantined:
        yield Text(f"{len(refused):,} files refused: {history.folder / 'quarantine.jsonl'}")
    if history.checkpoints:
        yield Text(f"last checkpoint: {history.checkpoints[-1]}")
    if history.previews:
        step, paths = list(history.previews.items())[-1]
        yield Text(f"last preview: {paths[0]} (step {step:,})", overflow="fold")


def spark(values: list[float], width: int = WIDTH) -> str:
    """A curve in one line of text, by the logarithms where all are positive: the mean of equal parts of the values."""
    if not values:
        return ""
    logs = [math.log(value) for value in values] if min(values) > 0 else values
    width = min(width, len(logs))
    edges = [round(i * len(logs) / width) for i in range(width + 1)]
    means = [math.fsum(logs[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((mean - low) * scale)] for mean in means)
