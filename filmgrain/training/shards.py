"""Shards: weights, gradients, moments and averages divided over the processes, by PyTorch's FSDP2 (`fully_shard`).

Each process holds an equal part of the rows of every tensor, and has a block's weights whole only while the block
computes. What the optimiser and the average see are the parts as plain tensors, so that neither knows of this: every
update is local. Only the norm of the gradient, and what is saved and loaded, spans the processes.
"""

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from .engine import average, own, parameters_of
from .task import Task
from .world import World


class Shards:
    """The engine of a sharded task. `task.trunk`, or all of its model, is what is sharded: `loss` calls it as a module.

    What lies outside of the trunk, and scalars, are copies. Blocks that the model names by `levels()` are gathered and
    freed one by one.
    """

    def __init__(self, task: Task, world: World) -> None:
        self.world, self.loss = world, task.loss
        self.trunk: nn.Module = getattr(task, "trunk", task.model)
        _shard(self.trunk, getattr(task.model, "levels", list)(), world.size)
        whole = parameters_of(task)
        self.sources = {name: parameter for group in whole.values() for name, parameter in group.items()}
        self.groups = {
            group: {name: _local(parameter) for name, parameter in parameters.items()}
            for group, parameters in whole.items()
        }

    def backward(self, last: bool) -> AbstractContextManager[None]:
        return nullcontext()  # every pass scatters its gradients: to hold them whole until the last is what is spared

    def clip(self, group: str, limit: float) -> Tensor:
        self._fetch()
        parts: list[Tensor] = []
        copies: list[Tensor] = []
        for name, parameter in self.groups[group].items():
            if parameter.grad is not None:
                (parts if self._sharded(name) else copies).append(parameter.grad)
        average(copies, self.world)
        like = next(iter(self.groups[group].values()))
        square = get_total_norm(parts).to(like.device).square()
        distributed.all_reduce(square)
        norm = (square + get_total_norm(copies).to(like.device).square()).sqrt()
        clip_grads_with_norm_(self.groups[group].values(), limit, norm)
        return norm

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the trunk is a plain module in each process, with all of its weights: nothing is gathered there."""
        modules = [module for module in self.trunk.modules() if isinstance(module, FSDPModule)]
        for module in modules:
            module.unshard()
        hooks = [(module, module._forward_pre_hooks, module._forward_hooks) for module in modules]
        for module in modules:
            module._forward_pre_hooks, module._forward_hooks = OrderedDict(), OrderedDict()
        try:
            yield
        finally:
            for module, before, after in hooks:
                module._forward_pre_hooks, module._forward_hooks = before, after
            for module in modules:
                module.reshard()

    def spread(self, name: str, part: Tensor) -> Tensor:
        """A tensor of a parameter's shape, of which this process holds a part, as what all of them hold together."""
        like = self.sources.get(name)
        if not isinstance(like, DTensor) or part.ndim == 0:
            return part
        return DTensor.from_local(
            part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        )

    def part(self, name: str, tensor: Tensor) -> Tensor:
        """This process's part of a whole tensor of a parameter's shape."""
        if not self._sharded(name) or tensor.ndim == 0:
            return tensor
        parts = tensor.chunk(self.world.size)
        return parts[self.world.rank] if self.world.rank < len(parts) else tensor[:0]

    def _sharded(self, name: str) -> bool:
        return isinstance(self.sources.get(name), DTensor)

    def _fetch(self) -> None:
        """Moves the gradients to the parts that the optimiser sees."""
        for parameters in self.groups.values():
            for name, parameter in parameters.items():
                source = self.sources[name]
                if source is not parameter:
                    parameter.grad = None if source.grad is None else source.grad.to_local()  # type: ignore[attr-defined]
                    source.grad = None


def _shard(trunk: nn.Module, levels: list[list[nn.Module]], size: int) -> None:
    trunk.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # FSDP knows no other
    device = next(trunk.parameters()).device
    mesh: DeviceMesh = init_device_mesh(device.type, (size,))
    scalars = {parameter for parameter in trunk.parameters() if parameter.ndim == 0}
    inside = set(trunk.modules())
    for block in (block for level in levels for block in level if block in inside):
        fully_shard(block, mesh=mesh, ignored_params=scalars)
    fully_shard(trunk, mesh=mesh, ignored_params=scalars)
    warnings.filterwarnings("ignore", ".*returned a view tensor.*")  # into which no loss of ours writes
    for module in trunk.modules():
        if isinstance(module, FSDPModule):
            module.set_force_sum_reduction_for_comms(True)  # and a division: gloo has no mean


def _local(parameter: nn.Parameter) -> nn.Parameter:
    """The part of a parameter in this process, sharing its memory; a copy is its own part."""
    if not isinstance(parameter, DTensor):
        return parameter
    return nn.Parameter(own(parameter.detach()), requires_grad=parameter.requires_grad)
