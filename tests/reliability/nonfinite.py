"""A8: a step whose gradient is not finite changes nothing and is named; after N in a row the run ends, soundly."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from target import changed, emptied, trained
from torch import Tensor
from trial import Trial, first, unless

from filmgrain.files import fsio, tensors
from filmgrain.tasks.diffusion import Task
from filmgrain.training.step import Stepper

LIMIT = 3  # bad steps in a row that end a run
VALUES = {"NaN": torch.nan, "infinity": torch.inf}


def poisoned(where: str, value: float, steps: frozenset[int]) -> None:
    """In this process, from now on: the loss, one gradient or the data are bad in these steps."""
    step, loss = Stepper.step, Task.loss
    at = {"step": -1}

    def stepping(self: Stepper, number: int, batches: list[dict[str, Any]]) -> dict[str, Tensor]:
        at["step"] = number + 1
        before = everything(self)
        figures = step(self, number, batches)
        if number + 1 in steps and not same(before, everything(self)):
            raise AssertionError(f"step {number + 1} was skipped and yet changed something")
        return figures

    def losing(self: Task, batch: dict[str, Any], group: str) -> tuple[Tensor, dict[str, Tensor]]:
        if at["step"] not in steps:
            return loss(self, batch, group)
        if where == "data":
            return loss(self, batch | {"x": batch["x"].index_fill(0, torch.tensor([0]), value)}, group)
        found, figures = loss(self, batch, group)
        if where == "loss":
            return found + value, figures
        return found + _zero(next(self.model.parameters()), value), figures

    Stepper.step, Task.loss = stepping, losing  # type: ignore[method-assign]


def _zero(parameter: Tensor, value: float) -> Tensor:
    """Zero, through which the parameter's gradient becomes bad."""
    zero = parameter.flatten()[0] * 0
    zero.register_hook(lambda gradient: gradient * value)
    return zero


def everything(stepper: Stepper) -> dict[str, Tensor]:
    """All that a step may change, but for moments that it makes: these begin at zero."""
    kept = {f"model/{name}": tensor for name, tensor in stepper.task.model.state_dict().items()}
    kept |= {f"ema/{name}": tensor for name, tensor in stepper.ema.averages.items()} | {"n": stepper.ema.updates}
    for group, optimizer in stepper.optimizers.items():
        for name, parameter in stepper.groups[group].items():
            kept |= {f"{group}/{name}/{key}": value for key, value in optimizer.state[parameter].items()}
    return {name: tensor.clone() for name, tensor in kept.items()}


def same(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return all(torch.equal(after[name], before[name]) for name in before) and not any(
        after[name].any() for name in after.keys() - before.keys()
    )


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    cases = product(("data", "loss", "gradient"), VALUES, (1, 3), ("float32", "bfloat16"), (1, 4, 7))
    for where, name, accumulate, precision, step in list(cases)[:: 9 if quick else 1]:
        recipe = changed(accumulate=accumulate, precision=precision)
        folder, poison = emptied(root / "trial"), partial(poisoned, where, VALUES[name], frozenset({step}))
        ended = trained(folder, recipe=recipe, prepare=poison)
        events = [row for row in rows(folder) if row.get("event") == "skipped"]
        told = [(row["step"], len(row["sources"])) for row in events] == [(step, 2 * accumulate)]
        yield Trial(
            "skipped",
            f"{name} in the {where} of step {step}, accumulate={accumulate} {precision}",
            first(
                unless(ended.code == 0, f"ended with {ended}"),
                unless(told, f"told as {events}"),
                unless(not bad_tensors(folder), f"saved: {bad_tensors(folder)}"),
            ),
        )
    yield from ends(root)


def ends(root: Path) -> Iterator[Trial]:
    """After LIMIT bad steps in a row, and not before."""
    for where, name in product(("data", "loss", "gradient"), VALUES):
        for bad, code in ((range(2, 8), 76), ((1, 2, 4, 5, 7), 0)):
            folder, poison = emptied(root / "trial"), partial(poisoned, where, VALUES[name], frozenset(bad))
            ended = trained(folder, recipe=changed(nonfinite_limit=LIMIT), prepare=poison)
            sound = fsio.newest(folder / "checkpoints").folder is not None and not bad_tensors(folder)
            said = ended.code == 0 or f"{LIMIT} steps in a row had a non-finite gradient" in ended.said
            yield Trial(
                "many in a row",
                f"{name} in the {where} of steps {list(bad)}",
                first(
                    unless(ended.code == code and said, f"ended with {ended}, not {code}"),
                    unless(sound, f"saved: {bad_tensors(folder)}"),
                ),
            )


def rows(folder: Path) -> list[dict[str, Any]]:
    return fsio.read_jsonl(folder / "metrics.jsonl")


def bad_tensors(folder: Path) -> list[str]:
    """Tensors of any checkpoint that are not finite."""
    return [
        f"{path.parent.name}/{path.stem}/{name}"
        for path in folder.glob("checkpoints/step-*/*.safetensors")
        for name, tensor in tensors.load(path).items()
        if not tensor.isfinite().all()
    ]
