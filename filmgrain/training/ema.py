"""EMA: an exponential moving average of parameters, and of nothing else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class EMA:
    """average <- average + (1 - d) (parameter - average), d = min(decay, (1 + n) / (10 + n)) at the n-th update.

    The second term is a warm-up: early on, the average forgets the untrained weights quickly. Until step `start` it is
    the parameters themselves, from then on it is updated every so many steps. Buffers (a BatchNorm's statistics,
    tables) are averages or constants of their own and stay out.
    """

    def __init__(self, parameters: dict[str, Parameter], decay: float, start: int = 0, every: int = 1) -> None:
        self.parameters = parameters
        self.decay, self.start, self.every = decay, start, every
        self.averages = {name: p.detach().clone() for name, p in parameters.items()}
        device = next(iter(parameters.values())).device
        self.updates = torch.zeros((), device=device)  # n; on the device, since a skipped step does not count

    @torch.no_grad()
    def update(self, skip: Tensor, step: int = 0) -> None:
        """After optimiser step number `step`, counted from 0; where `skip` is 1 it changes nothing."""
        if step < self.start:
            return _copy(self.parameters, self.averages)
        if (step - self.start) % self.every:
            return None
        decay = ((1 + self.updates) / (10 + self.updates)).clamp(max=self.decay)
        weight = (1 - decay) * (1 - skip)
        torch._foreach_lerp_(
            list(self.averages.values()), list(self.parameters.values()), [weight] * len(self.averages)
        )
        self.updates += 1 - skip
        return None

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The parameters hold the averages inside, and their own values again after, bit for bit."""
        own = {name: p.detach().clone() for name, p in self.parameters.items()}
        _copy(self.averages, self.parameters)
        try:
            yield
        finally:
            _copy(own, self.parameters)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, parameter in target.items():
        parameter.copy_(source[name])
