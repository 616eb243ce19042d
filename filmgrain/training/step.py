"""One optimiser step of a task: accumulate, clip, update or skip, average. The host never waits for the device."""

import hashlib
import math

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from . import blocks, optimizer
from .config import Config
from .ema import EMA
from .place import Place
from .task import Batch, Task


class Stepper:
    """Holds what a step changes: the task's parameters and buffers, one optimiser a group, and the EMA of them all."""

    def __init__(self, task: Task, config: Config, place: Place) -> None:
        self.task, self.config, self.place = task, config, place
        self.notes = blocks.prepare(task.model, config, place.device)  # what is to be said before the first step
        self.groups = task.groups()
        named = dict(task.model.named_parameters())
        for name, parameter in (pair for group in self.groups.values() for pair in group.items()):
            if named.get(name) is not parameter:
                raise ValueError(
                    f"the task trains {name!r}, which is no parameter of its model; make it a part of the model"
                )
        self.optimizers = {name: optimizer.build(config, group) for name, group in self.groups.items()}
        self.ema = EMA(
            {k: p for group in self.groups.values() for k, p in group.items()},
            config.ema,
            config.ema_start,
            config.ema_every,
        )
        self.buffers = list(task.model.buffers())

    def step(self, number: int, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """Scalars on the device, each the mean over the micro-batches; "skipped" is 1 where nothing was changed."""
        torch.manual_seed(seed_of(self.config.seed, number))  # dropout is a function of (seed, step), not of the past
        before = [buffer.clone() for buffer in self.buffers]
        figures: dict[str, Tensor] = {}
        skipped = torch.zeros((), device=self.place.device)
        for group in self.groups:
            found = self._update(group, optimizer.learning_rate(self.config, number), micro_batches)
            skipped = torch.maximum(skipped, found.pop("skipped"))
            figures |= found if len(self.groups) == 1 else {f"{group}/{key}": value for key, value in found.items()}
        for buffer, old in zip(self.buffers, before, strict=True):  # a BatchNorm has seen the bad batch by now
            buffer.copy_(torch.where(skipped.bool(), old, buffer))
        self.ema.update(skipped, number)
        self.task.model.zero_grad(set_to_none=True)  # gradients live only inside a step
        return figures | {"skipped": skipped}

    def _update(self, group: str, lr: float, micro_batches: list[Batch]) -> dict[str, Tensor]:
        parameters = list(self.groups[group].values())
        for parameter in parameters:
            parameter.grad = None  # of another group's loss
        rows = [self._backward(group, batch, len(micro_batches)) for batch in micro_batches]
        figures = {key: torch.stack([row[key] for row in rows]).nanmean() for key in rows[0]}  # NaN: nothing to say
        figures["loss"] = torch.stack([row["loss"] for row in rows]).mean()  # where NaN is a bad step
        norm = clip_grad_norm_(parameters, self.config.clip or math.inf)
        bad = ~(norm.isfinite() & figures["loss"].isfinite())
        optimizer.step(self.optimizers[group], lr, skip=bad.float())
        return figures | {"gradient_norm": norm, "skipped": bad.float()}

    def _backward(self, group: str, batch: Batch, count: int) -> dict[str, Tensor]:
        with self.place.autocast():
            loss, metrics = self.task.loss(batch, group)
        (loss / count).backward()  # outside autocast: gradients take the types of their forward pass
        return {"loss": loss.detach().float(), **{key: value.detach().float() for key, value in metrics.items()}}


def seed_of(seed: int, step: int) -> int:
    """A 63-bit seed for each step; neighbouring steps and seeds are unrelated."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:8], "little") >> 1
