"""The rows of the bench in Markdown."""

from collections.abc import Iterable, Sequence

from .conditional import BySteps, Distances
from .conditional import Row as Conditional
from .distance import NFES
from .distance import Row as Distance
from .estimate import Estimate
from .orders import Row as Order

TOO_FAR = 10.0  # of distances: no more digits


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """The first `left` columns to the left, all others to the right."""
    lines = [head, [*["---"] * left, *["---:"] * (len(head) - left)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def orders(rows: list[Order]) -> str:
    gaussian, mixture = ({row.name: row for row in rows if row.data == data} for data in ("Gaussian", "mixture"))
    last = rows[0].steps[-1]
    head = ["sampler", "expected", "Gaussian data", "mixture", f"error at {last} steps: Gaussian", "mixture", "calls"]
    lines = []
    for name, row in gaussian.items():
        other = mixture[name]
        errors = (f"{each.errors[-1].mean:.0e}" for each in (row, other))
        measured = (f"{each.order:.2f}" for each in (row, other))
        lines.append([code(name), str(row.expected), *measured, *errors, str(row.calls[-1])])
    return table(head, lines)


def distances(rows: list[Distance], study: str, grid: str | None = None) -> str:
    """One line for each sampler with its options and, if none is given, grid; one column for each budget of NFE."""
    found: dict[tuple[str, str], dict[int, Distance]] = {}
    for row in rows:
        if row.study == study and grid in (None, row.grid):
            budget = min(nfe for nfe in NFES if nfe >= row.nfe)
            name = row.sampler if row.steps == 2 and "rtol" in row.options else row.name
            at = found.setdefault((name, row.grid), {})
            if budget not in at or row.distance < at[budget].distance:
                at[budget] = row
    budgets = sorted({budget for at in found.values() for budget in at})
    head = ["sampler", *([] if grid else ["grid"]), *(f"NFE {budget}" for budget in budgets)]
    lines = []
    for (name, on), at in found.items():
        cells = [cell(at[budget].distance) if budget in at else "" for budget in budgets]
        lines.append([code(name), *([] if grid else [on]), *cells])
    return table(head, lines, left=1 if grid else 2)


def floor(rows: list[Distance]) -> str:
    return cell(next(row.distance for row in rows if row.study == "floor"))


def conditional(rows: list[Conditional]) -> str:
    head = ["method", "calls", "joint", "conditional mean", "conditional covariance"]
    return table(head, ([row.method, str(row.nfe or ""), *_pairs(row.sampled, row.exact)] for row in rows))


def by_steps(rows: list[BySteps]) -> str:
    head = ["method", *(f"{steps} steps" for steps in rows[0].steps)]
    return table(head, ([row.method, *(f"{each:.3f}" for each in row.distances)] for row in rows))


def _pairs(sampled: Distances, exact: Distances) -> Iterable[str]:
    for name in ("joint", "mean", "covariance"):
        yield f"{getattr(sampled, name):.3f} ({getattr(exact, name).mean:.3f})"


def cell(distance: Estimate) -> str:
    return f"{distance:.3f}" if distance.mean < TOO_FAR else f"over {TOO_FAR:g}"


def code(name: str) -> str:
    """`unipc`, order=3"""
    sampler, comma, options = name.partition(", ")
    return f"`{sampler}`{comma}{options}"
