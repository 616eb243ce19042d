"""The rows of the bench as pictures, by matplotlib. A sampler has one colour in all; what is stochastic is dashed."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..diffusion.prediction import PREDICTIONS
from ..rooms import find, names
from .conditional import Curve as Scales
from .conditional import Row as Conditional
from .curves import Curve
from .distance import GRIDS, NFES, NOISY, ON_GRIDS
from .distance import Row as Distance
from .orders import FINAL
from .orders import Row as Order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#e377c2", "#7f7f7f", "#bcbd22")
LINES = ("-", "--", ":", "-.")


def figure(width: float, height: float, columns: int, **options: Any) -> tuple["Figure", list["Axes"]]:
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, list(made.subplots(1, columns, squeeze=False, **options).flat)


def save(made: "Figure", path: Path) -> None:
    """As a PNG of 256 colours, half of what matplotlib writes."""
    written = BytesIO()
    made.savefig(written, format="png", dpi=100)
    Image.open(written).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def style(sampler: str) -> dict[str, Any]:
    """Its colour is its place among the deterministic or the stochastic samplers."""
    noisy = find("samplers", sampler).ORDER is None
    family = [name for name in names("samplers") if (find("samplers", name).ORDER is None) == noisy]
    return {"color": COLOURS[family.index(sampler) % len(COLOURS)], "linestyle": "--" if noisy else "-"}


def orders(rows: list[Order]) -> "Figure":
    made, axes = figure(9, 4, 2, sharey=True)
    for ax, data in zip(axes, ("Gaussian", "mixture"), strict=True):
        seen: list[str] = []
        for row in (row for row in rows if row.data == data):
            seen.append(row.sampler)
            line = LINES[(seen.count(row.sampler) - 1) % len(LINES)]
            errors = [error.mean for error in row.errors]
            look = {**style(row.sampler), "linestyle": line, "linewidth": max(1.0, 2.8 - 0.2 * len(seen))}
            ax.plot(row.calls, errors, **look, marker=".", label=row.name)  # thinner: ddim and euler are one line
        ax.set(xscale="log", yscale="log", xlabel="calls of the denoiser", title=data)
        _ticks(ax, (32, 64, 128, 256, 512, 1024))
    axes[0].set(ylabel=f"error of z at log-SNR {FINAL:g}")
    _legend(made, axes[0])
    return made


def distances(rows: list[Distance]) -> "Figure":
    """Every sampler as it comes, on two grids."""
    made, axes = figure(9, 4.6, 2, sharey=True)
    for ax, grid in zip(axes, ("uniform", "karras"), strict=True):
        for name in names("samplers"):
            at = [row for row in rows if row.study == "samplers" and row.grid == grid and row.sampler == name]
            if at:
                _line(ax, at, label=name, **style(name))
        _distance_axes(ax, rows, f"grid {grid}")
    axes[0].set(ylabel="distance to the truth")
    _legend(made, axes[1])
    return made


def on_grids(rows: list[Distance]) -> "Figure":
    made, axes = figure(9, 3, len(ON_GRIDS), sharey=True)
    for ax, name in zip(axes, ON_GRIDS, strict=True):
        for grid, colour in zip(GRIDS, COLOURS, strict=False):
            at = [row for row in rows if row.study == "grids" and row.grid == grid and row.sampler == name]
            _line(ax, at, label=grid, color=colour)
        _distance_axes(ax, rows, name)
    axes[0].set(ylabel="distance to the truth")
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(GRIDS), fontsize="x-small")
    return made


def noisy(rows: list[Distance]) -> "Figure":
    samplers = list(dict.fromkeys(name for name, _ in NOISY))
    made, axes = figure(9, 3, len(samplers), sharey=True)
    for ax, sampler in zip(axes, samplers, strict=True):
        at = [row for row in rows if row.study == "noise" and row.sampler == sampler]
        for name, colour in zip(dict.fromkeys(row.name for row in at), COLOURS, strict=False):
            label = name.removeprefix(f"{sampler}, ")
            _line(ax, [row for row in at if row.name == name], label=label, color=colour)
        _distance_axes(ax, rows, sampler)
        ax.legend(fontsize="small")
    axes[0].set(ylabel="distance to the truth")
    return made


def _legend(made: "Figure", ax: "Axes") -> None:
    """One for all panels."""
    made.legend(*ax.get_legend_handles_labels(), loc="outside right center", fontsize="x-small")


def _line(ax: "Axes", rows: Sequence[Distance], **options: Any) -> None:
    means, halves = [row.distance.mean for row in rows], [row.distance.half for row in rows]
    ax.errorbar([row.nfe for row in rows], means, halves, marker=".", linewidth=1.2, elinewidth=0.7, **options)


def _distance_axes(ax: "Axes", rows: list[Distance], title: str) -> None:
    floor = next(row.distance for row in rows if row.study == "floor")
    ax.axhspan(floor.mean - floor.half, floor.mean + floor.half, color="0.85", zorder=0)
    ax.set(xscale="log", yscale="log", ylim=(0.6 * floor.mean, 2), xlabel="NFE", title=title)
    _ticks(ax, NFES)


def _ticks(ax: "Axes", at: Sequence[int]) -> None:
    ax.set_xticks(at, [str(tick) for tick in at])
    ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


def conditional(rows: list[Conditional], scales: list[Scales]) -> "Figure":
    made, (bars, curves) = figure(9, 3.8, 2)
    at = [row for row in rows if row.nfe]
    means = [row.sampled.joint.mean for row in at]
    bars.barh([row.method for row in at], means, xerr=[row.sampled.joint.half for row in at], color="0.75")
    exact = [row.exact.joint.mean for row in at]
    bars.plot(exact, [row.method for row in at], "k|", markersize=9, label="exact")
    floor = rows[-1].sampled.joint
    low, high = floor.mean - floor.half, floor.mean + floor.half
    bars.axvspan(low, high, color=COLOURS[2], alpha=0.4, label="the truth itself")
    bars.invert_yaxis()
    bars.set(xscale="log", xlim=(5e-4, 2), xlabel="Frechet distance of the joint to the truth")
    bars.tick_params(axis="y", labelsize="small")
    bars.legend(fontsize="x-small", loc="lower right")
    for curve, colour in zip(scales, COLOURS, strict=False):
        curves.plot(curve.scales, curve.distances, marker=".", color=colour, label=curve.method)
    curves.set(yscale="log", ylim=(0.02, 2), xlabel="w_r", ylabel="the same, exact")
    curves.legend(fontsize="x-small")
    return made


def schedules(rows: list[Curve]) -> "Figure":
    made, axes = figure(9, 3.6, 2)
    titles = {"schedule": ("t", "log-SNR"), "density": ("log-SNR", "density, as t is uniform")}
    for ax, (kind, (x, y)) in zip(axes, titles.items(), strict=True):
        _curves(ax, (row for row in rows if row.kind == kind))
        ax.set(xlabel=x, ylabel=y)
    axes[0].legend(fontsize="x-small")
    axes[1].set(xlim=(-15, 15))
    return made


def weightings(rows: list[Curve]) -> "Figure":
    made, axes = figure(9, 3.4, len(PREDICTIONS), sharey=True)
    for ax, prediction in zip(axes, PREDICTIONS, strict=True):
        _curves(ax, (row for row in rows if row.kind == "weighting" and row.prediction == prediction))
        ax.set(yscale="log", ylim=(1e-4, 1e4), xlabel="log-SNR", title=prediction)
    axes[0].set(ylabel="w / k")
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize="small")
    return made


def _curves(ax: "Axes", rows: Iterable[Curve]) -> None:
    for row, colour in zip(rows, COLOURS, strict=False):
        ax.plot(row.x, row.y, color=colour, linestyle="--" if row.per_logsnr else "-", linewidth=1.2, label=row.name)
