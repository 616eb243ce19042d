"""The weight w_r of reconstruction guidance, chosen on clips that were held out of training."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float
from torch import Tensor

from ..model import DiffusionModel
from .conditional import Conditional, Diverged, Given, drawer
from .extend import Said
from .sampling import Config

WEIGHTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)  # tried


@dataclass(frozen=True)
class Trial:
    """What came of one weight."""

    weight: float  # 0: replacement alone
    error: float  # root mean square of what was made from what was held out; infinite where guidance diverged
    jump: float  # root mean square step where known meets new frames, over the true clips' there; 1 is as it should be


def tune(
    model: DiffusionModel,
    clips: Float[Tensor, "b c f h w"],
    known: Callable[[Float[Tensor, "b c f h w"]], Given],
    *,
    how: Conditional,
    config: Config,
    seed: int = 0,
    given: Said | None = None,
    weights: Sequence[float] = WEIGHTS,
) -> list[Trial]:
    """A trial of each weight. known: what of the clips, of the model's shape, is given; the rest is compared."""
    what, trials = known(clips), []
    for weight in weights:
        if weight == 0 and (what.small is not None or not how.replaces):
            continue  # nothing would be held to
        try:
            x = drawer(model, replace(how, weight=weight), config, seed, given or {})(0, what)
        except Diverged:
            trials.append(Trial(weight, math.inf, math.inf))
            continue
        wrong = (x - clips)[:, ~what.mask.expand(clips.shape[1:])]
        at = boundaries(what.mask)
        trials.append(Trial(weight, wrong.square().mean().sqrt().item(), (_steps(x, at) / _steps(clips, at)).item()))
    return trials


def best(trials: Sequence[Trial]) -> Trial:
    """The one of least error; where larger weights diverged, the largest that did not is left out if another is there.

    It is too near to them: on further clips, of which there are more than were tried on, it diverges too.
    """
    held = sorted((trial for trial in trials if math.isfinite(trial.error)), key=lambda trial: trial.weight)
    if not held:
        raise Diverged(f"every weight from {trials[0].weight:g} to {trials[-1].weight:g} diverged; use more steps")
    near = len(held) < len(trials) and len(held) > 1
    return min(held[:-1] if near else held, key=lambda trial: trial.error)


def boundaries(mask: Bool[Tensor, "*c f h w"]) -> Bool[Tensor, " steps"]:
    """Of every frame but the last, whether what is known changes to the next."""
    return (mask[:, 1:] != mask[:, :-1]).flatten(2).any(2).any(0)


def _steps(x: Float[Tensor, "b c f h w"], at: Bool[Tensor, " steps"]) -> Float[Tensor, ""]:
    """Root mean square of the chosen steps from frame to frame; NaN for none."""
    return x.diff(dim=2)[:, :, at].square().mean().sqrt()
