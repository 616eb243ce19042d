"""Engine: whose the parameters and gradients of a task are: one process's own, copies in each process, or shards.

groups       {group: {name: parameter}}, as the optimiser and the average see them in this process
loss         that of the task; its gradients are to be the mean over all processes
backward     the context of a forward and backward pass; only the last one of a step need tell other processes
clip         gradients to a norm, over all processes; returns the norm before
whole        the context in which one process alone may call the model
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from .task import Batch, Task
from .world import World

# Of buffers in every forward pass; the name changed with PyTorch 2.13.
SYNC = next(
    n for n in ("forward_sync_buffers", "broadcast_buffers") if n in signature(DistributedDataParallel).parameters
)
Groups = dict[str, dict[str, nn.Parameter]]


class Engine(Protocol):
    groups: Groups

    def loss(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]: ...
    def backward(self, last: bool) -> AbstractContextManager[None]: ...
    def clip(self, group: str, limit: float) -> Tensor: ...
    def whole(self) -> AbstractContextManager[None]: ...


class Single:
    """One process."""

    def __init__(self, task: Task) -> None:
        self.task, self.groups = task, parameters_of(task)

    def loss(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.loss(batch, group)

    def backward(self, last: bool) -> AbstractContextManager[None]:
        return nullcontext()

    def clip(self, group: str, limit: float) -> Tensor:
        return clip_grad_norm_(list(self.groups[group].values()), limit)

    def whole(self) -> AbstractContextManager[None]:
        return nullcontext()


class Copies:
    """Each process holds everything; gradients are averaged while backward still computes others (DDP)."""

    def __init__(self, task: Task) -> None:
        self.groups = parameters_of(task)
        unused = len(self.groups) > 1  # by the loss of one group, the parameters of another
        quiet: dict[str, Any] = {SYNC: False, "find_unused_parameters": unused, "gradient_as_bucket_view": True}
        self.loss = DistributedDataParallel(Loss(task), **quiet)

    def backward(self, last: bool) -> AbstractContextManager[None]:
        return nullcontext() if last else self.loss.no_sync()

    def clip(self, group: str, limit: float) -> Tensor:
        return clip_grad_norm_(list(self.groups[group].values()), limit)

    def whole(self) -> AbstractContextManager[None]:
        return nullcontext()


class Loss(nn.Module):
    """The loss of a task as a module, which is what DistributedDataParallel takes."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model, self.task = task.model, task

    def forward(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]:
        return self.task.loss(batch, group)


def parameters_of(task: Task) -> Groups:
    """The task's groups; raises ValueError where they are not the model's own."""
    groups, named = task.groups(), dict(task.model.named_parameters())
    for name, parameter in (pair for group in groups.values() for pair in group.items()):
        if named.get(name) is not parameter:
            raise ValueError(
                f"the task trains {name!r}, which is no parameter of its model; make it a part of the model"
            )
    return groups


def average(tensors: Iterable[Tensor], world: World) -> None:
    """Each tensor becomes its mean over the processes, in one message."""
    listed = list(tensors)
    if world.size == 1 or not listed:
        return
    flat = torch.cat([tensor.flatten() for tensor in listed])
    distributed.all_reduce(flat)
    parts = (flat / world.size).split([tensor.numel() for tensor in listed])
    for tensor, part in zip(listed, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def statistics(model: nn.Module) -> list[Tensor]:
    """What BatchNorms have seen, each process in its own part of the batch. Other buffers are alike in all."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None]


def engine_of(task: Task, sharded: bool, world: World) -> Engine:
    if world.size == 1:
        return Single(task)
    if not sharded:
        return Copies(task)
    from .shards import Shards  # takes the better part of a second to import

    return Shards(task, world)


# DTensor is known here by what it does: to import it takes longer than all of the rest.


def own(tensor: Tensor) -> Tensor:
    """The part of a tensor in this process, sharing its memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor, in every process; each must ask for it."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
