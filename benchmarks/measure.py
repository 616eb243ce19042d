"""What is measured of one side, inside its own process: each method answers one request."""

import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import operations
import torch
from cases import CASES, Timed
from safetensors.torch import load_file, save_file
from sides import SIDES
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


@dataclass(eq=False)
class Kept:
    """A tensor that is kept for the gradient."""

    tensor: Tensor


class Bench:
    """One side of one case."""

    def __init__(self, case: str, side: str) -> None:
        self.case, self.side = CASES[case].code, SIDES[side]
        self.whose = "ours" if self.side.ours else "peer"
        self.timed: Timed | None = None
        self.build(CASES[case].size)

    def build(self, size: dict[str, Any]) -> None:
        """Its network, with weights none of which is at its first value, since zeros would hide a difference."""
        self.timed = None  # the former one's memory, before that of the next
        torch.manual_seed(0)
        options = {"precision": self.side.precision, **self.side.training} if self.side.ours else {}
        self.timed = getattr(self.case, self.whose)(size, **options)
        with torch.no_grad():
            for parameter in self._parameters().values():
                parameter += 0.05 * torch.randn_like(parameter)

    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._parameters().values())

    def save(self, path: str) -> None:
        _write(path, self._shared(self.timed.network.state_dict()))

    def load(self, path: str) -> None:
        """Weights that the other side saved, by the names of this one."""
        self.timed.network.load_state_dict(load_file(path))

    def answer(self, path: str) -> None:
        """Writes the output for the batch of all sides, and each gradient of its mean square."""
        output = self._backward()
        gradients = {name: p.grad for name, p in self._parameters().items() if p.grad is not None}
        _write(path, {"output": output.detach().float(), **self._shared(gradients)})
        self.timed.network.zero_grad(set_to_none=True)

    def forward(self) -> float:
        return _seconds(self._evaluate)

    def step(self) -> float:
        return _seconds(self.timed.step)

    def sample(self) -> float:
        from cases import EVALUATIONS

        return _seconds(self.timed.sample) / EVALUATIONS

    def peak(self) -> float:
        """GB that this process has held at most, after some steps of training."""
        for _ in range(3):
            self.timed.step()
        status = Path("/proc/self/status")
        if status.exists():  # of this program alone, where getrusage may tell of the one that started it
            (line,) = (line for line in status.read_text().splitlines() if "VmHWM" in line)
            return int(line.split()[1]) * 1024 / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9

    def saved(self) -> float:
        """MB that a forward pass keeps for the backward one, each memory once; no parameters, and not the batch.

        What is kept for an output that nothing comes of is freed by the end, and not counted.
        """
        known = {_memory(tensor) for tensor in self.timed.network.state_dict().values()}
        alive: WeakSet[Kept] = WeakSet()

        def pack(tensor: Tensor) -> Kept:
            alive.add(kept := Kept(tensor.detach()))  # an output that holds itself would never be freed
            return kept

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
            output = self.timed.output()
        assert output.requires_grad
        sizes = {_memory(kept.tensor): kept.tensor.untyped_storage().nbytes() for kept in alive}
        return sum(size for memory, size in sizes.items() if memory not in known) / 1e6

    def flops(self) -> dict[str, float]:
        """Of convolutions and products; two for each multiplication and addition."""
        counts = {}
        for name, run in (("forward", self._evaluate), ("step", self._backward)):
            with FlopCounterMode(display=False) as counter:
                run()
            counts[name] = float(counter.get_total_flops())
        self.timed.network.zero_grad(set_to_none=True)
        return counts

    def operations(self, what: str) -> dict[str, float]:
        """Seconds by kind of operation, of one `step` or `sample` or `forward`."""
        return operations.profiled(lambda: getattr(self, what)())

    @torch.no_grad()
    def _evaluate(self) -> Tensor:
        return self.timed.output()

    def _backward(self) -> Tensor:
        output = self.timed.output()
        output.float().square().mean().backward()
        return output

    def _parameters(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.timed.network.named_parameters() if p.requires_grad}

    def _shared(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.case.shared(self.whose, tensors, self.timed.network)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _write(path: str, tensors: dict[str, Tensor]) -> None:
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
    assert os.path.getsize(path)
