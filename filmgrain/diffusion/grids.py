"""Grids: the levels that a sampler walks, rising from the schedule's noise to the data.

A grid of N steps is N finite levels and +inf, where z is x0. Which finite levels is the matter of this file:

    uniform     even in the schedule's time
    karras      even in r^(1 / rho), r = sigma / alpha (Karras et al. 2022)
    logsnr      even in log-SNR (Lu et al. 2022, DPM-Solver); both within r = 80 to 0.002, unless asked for more
    trailing    of a table: every (T / N)th step, counted from the noisiest (Lin et al. 2024)
    leading     of a table: every (T // N)th step, counted from the cleanest; begins below the noise it was trained on
    table       of a table: all T steps

docs/mathematics.md has them in symbols.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from .schedules import Schedule
from .tables import Discrete


@torch.no_grad()
def levels(
    schedule: Schedule,
    steps: int,
    grid: str = "uniform",
    device: torch.device | str | None = None,
    **options: float,
) -> Float[Tensor, " levels"]:
    """steps + 1 levels from noise to data, strictly rising; the last is +inf. Float32, made in float64 on the CPU.

    grid: one of GRIDS. options: of the grid (`rho` of karras). Raises ValueError for what no such grid can be.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} is not a number of sampling steps; use 1 or more")
    if grid not in GRIDS:
        close = difflib.get_close_matches(grid, GRIDS, n=1)
        meant = f'did you mean "{close[0]}"? ' if close else ""
        raise ValueError(f'grid="{grid}" is unknown; {meant}known: {", ".join(GRIDS)}')
    known = [*inspect.signature(GRIDS[grid]).parameters][2:]
    for name in options:
        if name not in known:
            raise ValueError(f'the grid {grid} has no option "{name}"; it has {", ".join(known) or "none"}')
    finite = GRIDS[grid](schedule, steps, **options)
    return _rising([*finite.tolist(), math.inf], f"of steps={steps} on the {grid} grid", "use fewer steps").to(device)


def of_list(logsnr: Sequence[float], device: torch.device | str | None = None) -> Float[Tensor, " levels"]:
    """A grid of one's own levels. The last is +inf, to arrive at the data, or finite, to stop before."""
    if len(logsnr) < 2:
        raise ValueError(f"a list of {len(logsnr)} is no grid; give 2 levels or more, such as -10, 0 and inf")
    return _rising(logsnr, "of the list", "give log-SNR that rises, finite but for the last").to(device)


def uniform(schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
    """t = 1, 1 - 1/N, ..., 1/N."""
    if isinstance(schedule, Discrete):
        _enough(schedule.table, steps)
    return schedule(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1])


def karras(
    schedule: Schedule, steps: int, rho: float = 7.0, r_max: float = 80.0, r_min: float = 0.002
) -> Float[Tensor, " steps"]:
    """r_i = (r_0^(1/rho) + i / (N - 1) (r_(N-1)^(1/rho) - r_0^(1/rho)))^rho between the schedule's ends.

    (Karras et al. 2022, eq. 5.) A larger rho takes shorter steps near the data. A schedule that goes beyond r_max and
    r_min is cut there, at the paper's ends: the levels outside would take many of the steps, and nothing happens there.
    """
    if not rho > 0:
        raise ValueError(f"rho={rho} of the karras grid is not positive; the paper uses 7")
    noise, data = (math.exp(-logsnr / 2 / rho) for logsnr in _ends(schedule, r_max, r_min))
    return -2 * rho * torch.linspace(noise, data, steps, dtype=torch.float64).log()


def even_in_logsnr(
    schedule: Schedule, steps: int, r_max: float = 80.0, r_min: float = 0.002
) -> Float[Tensor, " steps"]:
    noise, data = _ends(schedule, r_max, r_min)
    return torch.linspace(noise, data, steps, dtype=torch.float64)


def trailing(schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
    """Steps round(k T / N), k = N ... 1, of 1 ... T: begins at the noisiest (Lin et al. 2024, table 2)."""
    table = _table(schedule, "trailing")
    _enough(table, steps)
    return table[(torch.arange(steps, 0, -1, dtype=torch.float64) * len(table) / steps).round().long() - 1]


def leading(schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
    """Steps 1 + k floor(T / N), k = N - 1 ... 0, of 1 ... T: the default of DDPM and DDIM in diffusers.

    For comparisons with what others published. It does not begin at the last level, although z is pure noise: of 10
    steps in T = 1000 the first is 901. Lin et al. (2024) show what that costs.
    """
    table = _table(schedule, "leading")
    _enough(table, steps)
    if steps == 1:
        raise ValueError(
            "steps=1 of the leading grid would take noise for nearly clean data; use 2 or more, or trailing"
        )
    return table[torch.arange(steps - 1, -1, -1) * (len(table) // steps)]


def whole_table(schedule: Schedule, steps: int) -> Float[Tensor, " steps"]:
    """Steps T ... 1, the chain that a DDPM was trained as."""
    table = _table(schedule, "table")
    if steps != len(table):
        raise ValueError(
            f"steps={steps}, but the grid table is all {len(table)} levels; use steps={len(table)}, or uniform"
        )
    return table.flip(0)


GRIDS: dict[str, Callable[..., Tensor]] = {
    "uniform": uniform,
    "karras": karras,
    "logsnr": even_in_logsnr,
    "trailing": trailing,
    "leading": leading,
    "table": whole_table,
}


def _ends(schedule: Schedule, r_max: float, r_min: float) -> tuple[float, float]:
    """Log-SNR at t = 1 and at t = 0, within r = sigma / alpha from r_max to r_min."""
    if not 0 < r_min < r_max:
        raise ValueError(f"r_max={r_max}, r_min={r_min} are no range of sigma / alpha; the paper's are 80 and 0.002")
    noise, data = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).tolist()
    return max(noise, -2 * math.log(r_max)), min(data, -2 * math.log(r_min))


def _table(schedule: Schedule, grid: str) -> Float[Tensor, " T"]:
    if not isinstance(schedule, Discrete):
        kind = type(schedule).__name__
        raise ValueError(f"the grid {grid} picks from a table of steps, which {kind} has not; use the grid uniform")
    return schedule.table


def _enough(table: Float[Tensor, " T"], steps: int) -> None:
    if steps > len(table):
        raise ValueError(f"steps={steps} is more than the {len(table)} levels of the schedule; use fewer")


def _rising(logsnr: Sequence[float], which: str, remedy: str) -> Float[Tensor, " levels"]:
    """As float32, in which they must rise too."""
    grid = torch.tensor(logsnr, dtype=torch.float32)
    for number, (t, s) in enumerate(pairwise(grid.tolist()), start=1):
        if not -math.inf < t < s:  # neither does what is NaN
            raise ValueError(f"levels {number} and {number + 1} {which}, {t:g} and {s:g}, do not rise; {remedy}")
    return grid
