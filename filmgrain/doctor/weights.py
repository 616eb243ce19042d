"""What is wrong with the tensors of a checkpoint: not finite, never trained, an average not begun or far behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import runs
from ..recipe import Recipe, load
from ..training.checkpoint import State, read_state
from ..training.checkpoint import read as read_tensors
from .finding import Finding, note, problem, some

YOUNG = 20  # steps, before which a layer behind others that begin at zero may still have had no gradient
APART = 0.5  # distance of average from weights, over what training moved them


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A checkpoint, read."""

    where: str
    recipe: Recipe
    state: State
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    moments: dict[str, Tensor]  # GROUP/NAME.exp_avg_sq of Adam
    initial: dict[str, Tensor]  # parameters as the seed makes them


def read(checkpoint: Path) -> Weights:
    """Of a checkpoint that `runs.newest` gave. Raises what reading it raises."""
    recipe = load(checkpoint / "recipe.toml")
    moments = read_tensors(checkpoint, "optimizer")
    return Weights(
        where=str(checkpoint),
        recipe=recipe,
        state=read_state(checkpoint),
        model=read_tensors(checkpoint, "model"),
        ema=read_tensors(checkpoint, "ema"),
        moments={name: tensor for name, tensor in moments.items() if name.endswith(".exp_avg_sq")},
        initial=initial(recipe),
    )


def initial(recipe: Recipe) -> dict[str, Tensor]:
    """The parameters of a new run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        return {name: parameter.detach() for name, parameter in runs.build(recipe).named_parameters()}


def not_finite(weights: Weights) -> Iterator[Finding]:
    every = weights.model | {f"average of {name}": tensor for name, tensor in weights.ema.items()}
    names = [name for name, tensor in every.items() if not tensor.isfinite().all()]
    if names:
        what = f"{len(names):,} tensors hold NaN or infinity: {some(names)}"
        yield problem(weights.where, what, "use another checkpoint")


def without_gradient(weights: Weights) -> Iterator[Finding]:
    """Adam's second moment is zero, or not there, of what has never had a gradient."""
    if weights.state.step < YOUNG or not weights.moments:
        return
    moments = {name.partition("/")[2].removesuffix(".exp_avg_sq"): tensor for name, tensor in weights.moments.items()}
    names = [name for name in weights.ema if name not in moments or not moments[name].any()]
    if names:
        what = f"{len(names):,} of {len(weights.ema):,} parameters have never had a gradient: {some(names)}"
        yield problem(weights.where, what, "the loss does not depend on them: look for a part that is not connected")


def never_changed(weights: Weights) -> Iterator[Finding]:
    """What is as the seed made it, bit for bit. Of a run that began from other weights, nothing is."""
    if weights.state.step < YOUNG:
        return
    names = [
        name
        for name, tensor in weights.initial.items()
        if name in weights.ema and tensor.shape == weights.model[name].shape and tensor.equal(weights.model[name])
    ]
    if names:
        what = f"{len(names):,} of {len(weights.ema):,} parameters are as they were initialised: {some(names)}"
        yield problem(weights.where, what, "they are not trained: look whether their gradient is zero or too small")


def average_not_begun(weights: Weights) -> Iterator[Finding]:
    train, state = weights.recipe.train, weights.state
    if not train.ema or state.ema_updates or state.step < max(1, train.ema_every):
        return
    if state.step <= train.ema_start:
        what = f"at step {state.step:,} averaging has not begun (train.ema_start={train.ema_start}): it is the weights"
        yield note(weights.where, what, "judge samples after it has")
    else:
        what = f"the average was never updated in {state.step:,} steps"
        yield problem(weights.where, what, "use --weights raw, and look whether every step was skipped")


def average_behind(weights: Weights) -> Iterator[Finding]:
    """|average - weights| over |weights - initial|: large where the average is still near the start."""
    if weights.state.step < YOUNG or not weights.state.ema_updates:
        return
    names = [name for name in weights.ema if name in weights.initial]
    moved = _norm([weights.model[name] - weights.initial[name] for name in names])
    behind = _norm([weights.ema[name] - weights.model[name] for name in names])
    if moved and behind > APART * moved:
        what = f"the average is {behind / moved:.0%} of all that training moved away from the weights"
        yield problem(weights.where, what, "train longer, lower train.ema or train.ema_every, or use --weights raw")


def _norm(parts: list[Tensor]) -> float:
    return torch.stack([part.float().norm() for part in parts]).norm().item() if parts else 0.0


CHECKS = (not_finite, without_gradient, never_changed, average_not_begun, average_behind)
