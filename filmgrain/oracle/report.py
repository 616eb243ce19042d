"""A study run, its pictures drawn, and its part of the page written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import conditional, curves, distance, orders, pictures, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUICK = "*Of `--quick`: a shape, no figures to quote.*"
Progress = Callable[[int, int], None]


def report(name: str, pictures_folder: Path, *, seeds: int, quick: bool, progress: Progress) -> str:
    """The part of the page that `name` of STUDIES makes, with links to pictures/. `quick`: a shape, no figures."""
    text, drawn = STUDIES[name](seeds, quick, progress)
    pictures_folder.mkdir(parents=True, exist_ok=True)
    links = []
    for title, figure in drawn.items():
        file = f"oracle-{title.replace(' ', '-')}.png"
        pictures.save(figure, pictures_folder / file)
        links.append(f"![{title}]({pictures_folder.name}/{file})")
    return "\n\n".join([*([QUICK] if quick else []), *links, text])


Made = tuple[str, Mapping[str, "Figure"]]


def _orders(seeds: int, quick: bool, progress: Progress) -> Made:
    rows = orders.run(seeds=seeds, steps=(16, 32, 64) if quick else (32, 64, 128, 256), progress=progress)
    said = (
        f"{seeds} seeds, 95 % intervals; slopes over {', '.join(map(str, rows[0].steps))} steps from log-SNR"
        f" {orders.FIRST:g} to {orders.FINAL:g}."
    )
    return f"{tables.orders(rows)}\n\n{said}", {"orders": pictures.orders(rows)}


def _distance(seeds: int, quick: bool, progress: Progress) -> Made:
    nfes, count = ((4, 16), 256) if quick else (distance.NFES, distance.COUNT)
    rows = distance.run(seeds=seeds, count=count, nfes=nfes, progress=progress)
    said = f"{seeds} seeds of {count} samples, 95 % intervals. The floor, of true samples: {tables.floor(rows)}."
    parts = [
        said,
        "On the grid `uniform`:",
        tables.distances(rows, "samplers", "uniform"),
        "On the grid `karras`, between the ends of its paper, r = 80 and 0.002 (log-SNR -8.8 and 12.4):",
        tables.distances(rows, "samplers", "karras"),
        "By grid; `uniform` on the schedule `cosine`, `karras` and `logsnr` between the ends above or its own,"
        " `trailing` and `leading` on `linear_beta`:",
        tables.distances(rows, "grids"),
        "By how much noise is added; `edm` on `karras`, all others on `uniform`:",
        tables.distances(rows, "noise"),
    ]
    drawn = {
        "distance": pictures.distances(rows),
        "distance by grid": pictures.on_grids(rows),
        "distance by noise": pictures.noisy(rows),
    }
    return "\n\n".join(parts), drawn


def _conditional(seeds: int, quick: bool, progress: Progress) -> Made:
    count, steps = (500, 16) if quick else (conditional.COUNT, conditional.STEPS)
    rows = conditional.run(seeds=seeds, count=count, steps=steps, progress=progress)
    of = f"{steps} steps; {seeds} seeds of {count} samples, 95 % intervals"
    said = f"{of}; in brackets what infinitely many samples would give."
    drawn = {"conditional": pictures.conditional(rows, conditional.curves(steps))}
    parts = [
        tables.conditional(rows),
        said,
        "The joint by the number of steps, of infinitely many samples:",
        tables.by_steps(conditional.by_steps((8, 16) if quick else (16, 64, 256))),
    ]
    return "\n\n".join(parts), drawn


def _curves(seeds: int, quick: bool, progress: Progress) -> Made:
    rows = curves.run()
    progress(1, 1)
    return "", {"schedules": pictures.schedules(rows), "weightings": pictures.weightings(rows)}


STUDIES: dict[str, Callable[[int, bool, Progress], Made]] = {
    "orders": _orders,
    "distance": _distance,
    "conditional": _conditional,
    "curves": _curves,
}
