"""One optimiser step of a task: accumulate, clip, update or skip, average. The host never waits for the device."""

import hashlib
import math

import torch
from torch import Tensor

from . import blocks, optimizer
from .config import Config
from .ema import EMA
from .engine import average, engine_of, statistics
from .place import Place
from .task import Batch, Task
from .world import ALONE, World


class Stepper:
    """Holds what a step changes: the task's parameters and buffers, one optimiser a group, and the EMA of them all."""

    def __init__(self, task: Task, config: Config, place: Place, world: World = ALONE) -> None:
        self.task, self.config, self.place, self.world = task, config, place, world
        self.notes = blocks.prepare(task.model, config, place.device)  # what is to be said before the first step
        self.sharded = config.sharded and world.size > 1
        self.engine = engine_of(task, self.sharded, world)
        self.groups = self.engine.groups
        self.optimizers = {name: optimizer.build(config, group) for name, group in self.groups.items()}
        self.ema = EMA(
            {k: p for group in self.groups.values() for k, p in group.items()},
            config.ema,
            config.ema_start,
            config.ema_every,
        )
        self.buffers, self.statistics = list(task.model.buffers()), statistics(task.model)

    def step(self, number: int, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """Scalars on the device, each the mean over the micro-batches; "skipped" is 1 where nothing was changed."""
        torch.manual_seed(seed_of(self.config.seed, number, self.world.rank))  # of dropout: not a matter of the past
        before = [buffer.clone() for buffer in self.buffers]
        figures: dict[str, Tensor] = {}
        skipped = torch.zeros((), device=self.place.device)
        for group in self.groups:
            found = self._update(group, optimizer.learning_rate(self.config, number), micro_batches)
            skipped = torch.maximum(skipped, found.pop("skipped"))
            figures |= found if len(self.groups) == 1 else {f"{group}/{key}": value for key, value in found.items()}
        average(self.statistics, self.world)
        for buffer, old in zip(self.buffers, before, strict=True):  # a BatchNorm has seen the bad batch by now
            buffer.copy_(torch.where(skipped.bool(), old, buffer))
        self.ema.update(skipped, number)
        self.task.model.zero_grad(set_to_none=True)  # gradients live only inside a step
        return figures | {"skipped": skipped}

    def _update(self, group: str, lr: float, micro_batches: list[Batch]) -> dict[str, Tensor]:
        for parameter in self.groups[group].values():
            parameter.grad = None  # of another group's loss
        last = len(micro_batches) - 1
        rows = [self._backward(group, batch, last + 1, i == last) for i, batch in enumerate(micro_batches)]
        figures = {key: torch.stack([row[key] for row in rows]).nanmean() for key in rows[0]}  # NaN: nothing to say
        figures["loss"] = torch.stack([row["loss"] for row in rows]).mean()  # where NaN is a bad step
        figures = self.world.mean(figures)
        norm = self.engine.clip(group, self.config.clip or math.inf)
        bad = ~(norm.isfinite() & figures["loss"].isfinite())
        optimizer.step(self.optimizers[group], lr, skip=bad.float())
        return figures | {"gradient_norm": norm, "skipped": bad.float()}

    def _backward(self, group: str, batch: Batch, count: int, last: bool) -> dict[str, Tensor]:
        with self.engine.backward(last):
            with self.place.autocast():
                loss, metrics = self.engine.loss(batch, group)
            (loss / count).backward()  # outside autocast: gradients take the types of their forward pass
        return {"loss": loss.detach().float(), **{key: value.detach().float() for key, value in metrics.items()}}


def seed_of(seed: int, step: int, rank: int = 0) -> int:
    """A 63-bit seed for each step and process; neighbouring ones are unrelated."""
    text = f"{seed}:{step}:{rank}" if rank else f"{seed}:{step}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
