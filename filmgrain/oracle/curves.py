"""Every registered schedule and weighting as a curve, at the defaults of its Config."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion.prediction import PREDICTIONS
from ..diffusion.schedules import SCHEDULES
from ..diffusion.tables import Discrete
from ..diffusion.weighting import WEIGHTINGS

POINTS = 400


@dataclass(frozen=True)
class Curve:
    kind: str  # "schedule": logsnr over t. "density": of logsnr, as t is uniform. "weighting": w / k over logsnr
    name: str
    prediction: str  # of a weighting, whose factor on the network's own error is w / k; else ""
    per_logsnr: bool  # a weighting that is an integral over logsnr, so that the schedule falls out
    x: tuple[float, ...]
    y: tuple[float, ...]


def run() -> list[Curve]:
    curves = []
    for name, config in SCHEDULES.items():
        t, logsnr = schedule_curve(config())
        density = (t[2:] - t[:-2]) / (logsnr[:-2] - logsnr[2:])
        moving = logsnr[:-2] > logsnr[2:]  # where a schedule is cut it stays, and has no density
        curves.append(_curve("schedule", name, t, logsnr))
        curves.append(_curve("density", name, logsnr[1:-1][moving], density[moving]))
    logsnr = torch.linspace(-15, 15, POINTS, dtype=torch.float64)
    for name, config in WEIGHTINGS.items():
        weighting = config()
        for predicted, row in PREDICTIONS.items():
            factor = (weighting(logsnr, row) / row.k(logsnr)).expand_as(logsnr)
            per_logsnr = getattr(weighting, "per_logsnr", False)
            curves.append(_curve("weighting", name, logsnr, factor, predicted, per_logsnr))
    return curves


def schedule_curve(schedule: object) -> tuple[Tensor, Tensor]:
    """t and logsnr(t); of a table, at its steps."""
    if isinstance(schedule, Discrete):
        count = len(schedule.table)
        return torch.arange(1, count + 1, dtype=torch.float64) / count, schedule.table
    assert callable(schedule)
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    return t, schedule(t)


def _curve(kind: str, name: str, x: Tensor, y: Tensor, prediction: str = "", per_logsnr: bool = False) -> Curve:
    return Curve(kind, name, prediction, per_logsnr, tuple(x.tolist()), tuple(y.tolist()))
