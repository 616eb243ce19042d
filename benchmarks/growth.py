"""How a step grows with frames, side and batch, and the picture of it."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from cases import CASES
from paired import in_turn
from remote import workers

CASE = "unet3d-32"
AXES = {"frames": (4, 8, 16, 32), "side": (16, 32, 48, 64), "batch": (1, 2, 4, 8)}
SIDES = ("peer", "float32", "bfloat16")
WHAT = {"forward": "a forward pass", "step": "a training step"}
COLOURS = {"peer": "#b5482e", "float32": "#2e6fb5", "bfloat16": "#2e9b62"}


def measured(repeats: int, threads: int, axes: Mapping[str, tuple[int, ...]] = AXES) -> dict[str, Any]:
    """{axis: {value: {forward: {side: median seconds}, step: ...}}}; what is not on the axis is as in the case."""
    found: dict[str, Any] = {}
    with workers(CASE, SIDES, threads) as asked:
        for axis, values in axes.items():
            found[axis] = {}
            for value in values:
                for worker in asked.values():
                    worker.ask("build", size=CASES[CASE].size | {axis: value})
                rounds = {
                    what: in_turn({side: partial(worker.ask, what) for side, worker in asked.items()}, repeats)
                    for what in WHAT
                }
                found[axis][str(value)] = {
                    what: {side: median(seconds) for side, seconds in sides.items()} for what, sides in rounds.items()
                }
    return found


def plot(growth: Mapping[str, Any], path: Path) -> None:
    """A row for each measure, a column for each axis; all scales logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, panels = pyplot.subplots(len(WHAT), len(growth), figsize=(11, 6), sharey="row", squeeze=False)
    for row, (what, title) in zip(panels, WHAT.items(), strict=True):
        for panel, (axis, values) in zip(row, growth.items(), strict=True):
            for side in SIDES:
                seconds = [point[what][side] for point in values.values()]
                panel.plot([*map(int, values)], seconds, "o-", color=COLOURS[side], label=side, markersize=4)
            panel.set(xscale="log", yscale="log", xlabel=axis, xticks=[*map(int, values)])
            panel.xaxis.set_major_formatter(ScalarFormatter())
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.grid(alpha=0.3)
        row[0].set_ylabel(f"seconds of {title}")
    panels[0][0].legend(frameon=False)
    figure.suptitle("unet3d, width 32, mults 1, 2, 4; 2 clips of 16x32x32 but for what is on the axis")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
