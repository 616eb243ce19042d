"""What was asked of the speed, and whether it is so: each a ratio of two sides in one case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paired import Ratio, ratio


@dataclass(frozen=True, kw_only=True)
class Target:
    """`ours` against `against`: so many times faster, or (saved) so small a part."""

    cases: tuple[str, ...]
    what: str  # "forward", "step", "sample", "saved", or "cost": the time of a step over that of `against`
    against: str  # a side
    ours: str  # a side
    bound: float
    aim: float | None = None

    @property
    def at_least(self) -> bool:
        return self.what not in ("saved", "cost")

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


VIDEO = ("unet3d-32", "unet3d-64")
KEPT = "peer, our allocator"
TARGETS = (
    Target(cases=VIDEO, what="sample", against="peer", ours="float32", bound=4),
    Target(cases=VIDEO, what="sample", against="peer", ours="bfloat16", bound=4, aim=6),
    Target(cases=VIDEO, what="step", against="peer", ours="float32", bound=3),
    Target(cases=VIDEO, what="step", against="peer", ours="bfloat16", bound=3.5, aim=4.5),
    Target(cases=VIDEO, what="sample", against=KEPT, ours="float32", bound=2, aim=2.6),
    Target(cases=VIDEO, what="sample", against=KEPT, ours="bfloat16", bound=2, aim=3),
    Target(cases=VIDEO, what="step", against=KEPT, ours="float32", bound=1.4, aim=2),
    Target(cases=VIDEO, what="step", against=KEPT, ours="bfloat16", bound=1.8, aim=2.3),
    Target(cases=VIDEO, what="saved", against="peer", ours="float32", bound=0.7),
    Target(cases=VIDEO, what="saved", against="peer", ours="bfloat16", bound=0.4),
    Target(cases=VIDEO, what="saved", against="peer", ours="float32, recomputed", bound=0.25),
    Target(cases=VIDEO, what="cost", against="float32", ours="float32, recomputed", bound=1.35),
    Target(cases=("ddpm_unet",), what="forward", against="peer", ours="float32", bound=1.05),
    Target(cases=("ddpm_unet",), what="step", against="peer", ours="float32", bound=1.05),
    Target(cases=("ddpm_unet",), what="forward", against="peer", ours="bfloat16", bound=1.8),
    Target(cases=("ddpm_unet",), what="step", against="peer", ours="bfloat16", bound=1.7),
    Target(cases=("unet2d",), what="step", against="peer", ours="float32", bound=1.3),
    Target(cases=("unet2d",), what="step", against="peer", ours="bfloat16", bound=1.8),
)


def found(entry: Mapping[str, Any], target: Target) -> Ratio | None:
    """What a case's results say of a target; None if they do not have it."""
    of_levels = entry.get("recomputed", {})
    if target.what == "saved":
        saved = of_levels.get("saved", {}) | entry.get("saved", {})
        if target.against not in saved or target.ours not in saved:
            return None
        return Ratio(*[saved[target.ours] / saved[target.against]] * 3)
    seconds = of_levels.get("seconds", {}) if target.what == "cost" else entry.get("seconds", {}).get(target.what, {})
    if target.against not in seconds or target.ours not in seconds:
        return None
    over, under = seconds[target.against], seconds[target.ours]
    return ratio(under, over) if target.what == "cost" else ratio(over, under)
