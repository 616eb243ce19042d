"""What is wrong with a recipe: noise levels, averaging, learning rate, pace, labels and guidance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import runs
from ..recipe import Recipe
from .finding import Finding, note, problem

LARGEST_RATE = 1e-2  # that Adam has been seen to train a network of ours with
TIMES = 1_000  # that an item is drawn, from which on it is likely to be learnt by heart


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A recipe and what is known of its data."""

    recipe: Recipe
    where: str = "recipe"
    items: int = 0  # of training an epoch; 0: not known
    classes: list[str] | None = None  # of the data; None: without, or not known
    captions: bool = False  # whether the data have them
    texts: tuple[str, ...] = ()  # captions of the items that were looked at

    @property
    def draws(self) -> int:
        """Items a step."""
        return self.recipe.train.batch * self.recipe.train.accumulate


def warned(plan: Plan) -> Iterator[Finding]:
    """What `train` and `show` warn of too: terminal SNR, steps that a sampler cannot take, weightings that explode."""
    for sentence in runs.warnings(plan.recipe):
        what, _, do = sentence.rpartition("; ")
        yield problem(plan.where, what or sentence, do if what else "see docs/choosing_a_sampler.md")


def ema_never_starts(plan: Plan) -> Iterator[Finding]:
    train = plan.recipe.train
    if train.ema and train.ema_start >= train.steps:
        what = f"averaging begins at train.ema_start={train.ema_start}, and training ends at train.steps={train.steps}"
        yield problem(plan.where, what, "lower train.ema_start")


def ema_longer_than_run(plan: Plan) -> Iterator[Finding]:
    """The warm-up of training/ema.py holds the average to the last ninth of the steps until (1 + n) / (10 + n) = d."""
    train = plan.recipe.train
    updates = max(0, train.steps - train.ema_start) / train.ema_every
    if train.ema and train.ema_start < train.steps and (1 + updates) / (10 + updates) < train.ema:
        steps = round((10 * train.ema - 1) / (1 - train.ema) * train.ema_every) + train.ema_start
        what = f"train.ema={train.ema:g} would be reached at step {steps:,} only, after the last, {train.steps:,}"
        yield note(plan.where, what, "lower train.ema, if samples look older than the training loss")


def warmup_longer_than_run(plan: Plan) -> Iterator[Finding]:
    train = plan.recipe.train
    if train.warmup >= train.steps:
        what = f"train.lr={train.lr:g} is never reached: train.warmup={train.warmup} and train.steps={train.steps}"
        yield problem(plan.where, what, "lower train.warmup to a tenth of the steps or less")


def rate_too_high(plan: Plan) -> Iterator[Finding]:
    if plan.recipe.train.lr > LARGEST_RATE:
        yield problem(
            plan.where, f"train.lr={plan.recipe.train.lr:g} is too high for Adam", "use 1e-3 or below, such as 3e-4"
        )


def neither_annealed_nor_averaged(plan: Plan) -> Iterator[Finding]:
    train = plan.recipe.train
    if not train.ema and train.schedule == "constant":
        what = "train.ema=0 and train.schedule=constant: the last weights are as noisy as the learning rate makes them"
        yield problem(plan.where, what, "set train.ema=0.999, or train.schedule=cosine")


def batch_larger_than_data(plan: Plan) -> Iterator[Finding]:
    if 0 < plan.items < plan.draws:
        what = f"a step draws {plan.draws:,} items, and there are {plan.items:,}"
        yield problem(plan.where, what, "lower train.batch or train.accumulate, or give more data")


def never_seen(plan: Plan) -> Iterator[Finding]:
    drawn = plan.recipe.train.steps * plan.draws
    if drawn < plan.items:
        what = f"{plan.items - drawn:,} of {plan.items:,} items are never drawn in {plan.recipe.train.steps:,} steps"
        yield note(plan.where, what, "raise train.steps, if the rest is meant to count")


def seen_too_often(plan: Plan) -> Iterator[Finding]:
    drawn = plan.recipe.train.steps * plan.draws
    if plan.items and drawn > TIMES * plan.items:
        what = f"each of {plan.items:,} items is drawn {drawn // plan.items:,} times"
        yield note(plan.where, what, "look for copies: filmgrain evaluate shows samples beside their nearest data")


def nothing_saved(plan: Plan) -> Iterator[Finding]:
    train = plan.recipe.train
    if train.save_every >= train.steps > 1_000:
        what = f"train.save_every={train.save_every} is not below train.steps={train.steps}: if killed, all is lost"
        yield note(plan.where, what, "lower train.save_every")


def labels_never_dropped(plan: Plan) -> Iterator[Finding]:
    kept = [name for name, config in plan.recipe.conditions.items() if getattr(config, "drop", None) == 0]
    if kept and plan.recipe.sample.scale != 1:
        what = f"sample.scale={plan.recipe.sample.scale:g} guides away from no condition, which is never trained"
        yield problem(plan.where, what, f"set conditions.{kept[0]}.drop=0.1, or sample.scale=1")


def guidance_without_condition(plan: Plan) -> Iterator[Finding]:
    if plan.recipe.sample.scale != 1 and not plan.recipe.conditions:
        what = f"sample.scale={plan.recipe.sample.scale:g} guides towards a condition, and the recipe has none"
        yield note(plan.where, what, "set sample.scale=1, or add conditions.label")


def labels_unused(plan: Plan) -> Iterator[Finding]:
    if plan.classes and len(plan.classes) > 1 and not plan.recipe.conditions:
        what = f"the data have {len(plan.classes):,} classes, and the model is told none"
        yield note(plan.where, what, "add [conditions.label] and network.condition to sample by class")


def classes_differ(plan: Plan) -> Iterator[Finding]:
    """What a run says of its conditions, against what the data have: as training itself would refuse it."""
    for config in plan.recipe.conditions.values():
        if (found := _refusal(config, plan)) and plan.items:
            what, _, do = found.rpartition("; ")
            yield problem(plan.where, what or found, do if what else "train without it")


def captions_not_read(plan: Plan) -> Iterator[Finding]:
    """Of the data's captions, what the recipe's own reader cuts off or does not know."""
    for name, config in plan.recipe.conditions.items():
        try:
            said = config.remarks(plan.texts) if plan.texts and hasattr(config, "remarks") else []
        except ValueError as error:  # a text encoder that is not there
            said = [str(error)]
        for sentence in said:
            yield note(plan.where, f"conditions.{name}: {sentence}", "write them otherwise, or set it to read more")


def _refusal(config: Any, plan: Plan) -> str | None:
    try:
        config.check(classes=plan.classes, captions=plan.captions)
    except ValueError as error:
        return str(error)
    return None


CHECKS = (
    warned,
    ema_never_starts,
    ema_longer_than_run,
    warmup_longer_than_run,
    rate_too_high,
    neither_annealed_nor_averaged,
    batch_larger_than_data,
    never_seen,
    seen_too_often,
    nothing_saved,
    labels_never_dropped,
    guidance_without_condition,
    labels_unused,
    classes_differ,
    captions_not_read,
)
