"""History: what a run has said so far, read from its files alone, whether it is training, finished or dead."""

import itertools
import json
import math
import os
import re
import statistics
import time
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..files import fsio

SMOOTH = 0.05  # of the rows are averaged into the line
RECENT = 20  # rows that the speed is told by
QUIET, GAPS = 60.0, 10  # seconds without a row, and usual times between rows, after which a run is called quiet
LEVEL = "validation/loss at "  # begins the names of the held-out loss at one noise level

Row = dict[str, Any]


class NoRun(Exception):
    """A folder that holds no run."""


@dataclass(frozen=True)
class Event:
    step: int
    name: str  # skipped, failed, save failed, damaged ...
    text: str  # one line that can be printed


class Tail:
    """The rows of a growing file of JSON lines; read anew where it was replaced or cut, as a resumed run does."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self.inode, self.at = path, list[Row](), -1, 0

    def read(self) -> list[Row]:
        """All rows so far; of the file, only what is new is read. A last line without an end waits for it."""
        if not self.path.is_file():
            return self.rows
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.at:
                self.inode, self.at, self.rows = status.st_ino, 0, []
            file.seek(self.at)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.at += len(whole)
        self.rows += [row for line in whole.splitlines() if (row := _row(line))]
        return self.rows


class History:
    """Raises `NoRun`. `update` reads what has come since."""

    def __init__(self, folder: Path) -> None:
        if not os.path.isfile(folder / "metrics.jsonl") and not os.path.isdir(folder / "checkpoints"):
            raise NoRun(
                f"{folder} is not a run: it holds no metrics.jsonl and no checkpoints/; give the folder that filmgrain "
                "train wrote"
            )
        self.folder, self._tail = folder, Tail(folder / "metrics.jsonl")
        self.recipe: dict[str, Any] = {}  # its sections as TOML has them; empty where it cannot be read
        self.update()

    def update(self) -> "History":
        self.rows = self._tail.read()
        self.recipe = _recipe(self.folder / "recipe.toml")
        return self

    @property
    def figures(self) -> list[Row]:
        """The rows of numbers: of training, and of validation."""
        return [row for row in self.rows if "event" not in row]

    @property
    def events(self) -> list[Event]:
        """What happened besides, previews left out."""
        told = [row for row in self.rows if row.get("event") not in (None, "preview")]
        return [Event(row["step"], one_line(row["event"]), one_line(row.get("text", ""))) for row in told]

    @property
    def quarantined(self) -> list[tuple[str, str]]:
        """Files that were refused, and why."""
        rows = [row for row in fsio.read_jsonl(self.folder / "quarantine.jsonl") if isinstance(row, dict)]
        return [(one_line(row.get("path", "")), one_line(row.get("reason", ""))) for row in rows]

    @property
    def checkpoints(self) -> list[Path]:
        """Oldest first; whether they are sound is not asked."""
        return fsio.staged_folders(self.folder / "checkpoints")

    @property
    def step(self) -> int:
        saved = [int(folder.name[5:]) for folder in self.checkpoints if folder.name[5:].isdecimal()]
        return max([row["step"] for row in self.rows[-1:]] + saved, default=0)

    @property
    def steps(self) -> int:
        """Of the whole run; 0 where the recipe does not say."""
        return self.setting("train.steps", 0)

    @property
    def finished(self) -> bool:
        done = self.checkpoints[-1:] and self.checkpoints[-1].name == f"step-{self.steps:08d}"
        return bool(self.steps and done)

    def setting(self, name: str, default: Any) -> Any:
        """Of the recipe, such as "train.lr"; `default` where it has none of that type."""
        value: Any = self.recipe
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
        return value if fits and not (isinstance(value, bool) and not isinstance(default, bool)) else default

    def last(self, name: str) -> float | None:
        finite = (v for row in reversed(self.rows) if isinstance(v := row.get(name), (int, float)) and math.isfinite(v))
        return next(finite, None)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        return series(self.figures, name)

    @property
    def levels(self) -> list[str]:
        """The names of the held-out losses by noise level, from nearly clean to nearly noise."""
        return sorted({key for row in self.figures for key in row if key.startswith(LEVEL)})

    @property
    def speed(self) -> float | None:
        """Steps a second over the last rows, validation and previews between them included."""
        recent = [value for value in self.series("steps_per_second")[1][-RECENT:] if value > 0]
        return statistics.harmonic_mean(recent) if recent else None

    @property
    def seconds_left(self) -> float | None:
        return max(0, self.steps - self.step) / self.speed if self.steps and self.speed else None

    def silence(self, now: float | None = None) -> float | None:
        """Seconds since the last row, or since there is a file for rows; None where there is none."""
        path = self.folder / "metrics.jsonl"
        then = self.last("time") or (path.stat().st_mtime if path.is_file() else None)
        return None if then is None else max(0.0, (time.time() if now is None else now) - then)

    def quiet(self, now: float | None = None) -> bool:
        """Whether an unfinished run has said nothing for so long that it is stopped, dead, or hangs."""
        times = [row["time"] for row in self.rows[-RECENT:] if isinstance(row.get("time"), (int, float))]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        patience = max(QUIET, GAPS * statistics.median(gaps)) if gaps else GAPS * QUIET
        silence = self.silence(now)
        return not self.finished and (silence is None or silence > patience)

    @property
    def previews(self) -> dict[int, list[Path]]:
        """Files of previews by step, in order."""
        found: dict[int, list[Path]] = {}
        for path in sorted((self.folder / "previews").glob("*")):
            if (number := re.search(r"(\d{1,12})\D*$", path.stem)) and path.is_file():
                found.setdefault(int(number[1]), []).append(path)
        return dict(sorted(found.items()))


def series(rows: list[Row], name: str) -> tuple[list[int], list[float]]:
    """The steps and values of the rows that have a figure."""
    found = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), (int, float))]
    return [step for step, _ in found], [value for _, value in found]


def smoothed(values: list[float]) -> list[float]:
    """The running mean over the last rows."""
    width = max(1, round(SMOOTH * len(values)))
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i + 1 - width) : i + 1])]


def duration(seconds: float) -> str:
    """Such as 1:02:03."""
    return str(timedelta(seconds=round(min(seconds, 1e11))))


def one_line(text: object) -> str:
    """On one line, and without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("step")) is int else None


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
