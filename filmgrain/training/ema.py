"""EMA: an exponential moving average of parameters, and of nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class EMA:
    """average <- average + (1 - d) (parameter - average), d = min(decay, (1 + n) / (10 + n)) at the n-th update.

    The second term is a warm-up: early on, the average forgets the untrained weights quickly. Buffers (a BatchNorm's
    statistics, tables) are averages or constants of their own and stay out.
    """

    def __init__(self, parameters: dict[str, Parameter], decay: float) -> None:
        self.parameters = parameters
        self.decay = decay
        self.averages = {name: p.detach().clone() for name, p in parameters.items()}
        device = next(iter(parameters.values())).device
        self.updates = torch.zeros((), device=device)  # n; on the device, since a skipped step does not count

    @torch.no_grad()
    def update(self, skip: Tensor) -> None:
        """After an optimiser step; where `skip` is 1 it changes nothing."""
        decay = ((1 + self.updates) / (10 + self.updates)).clamp(max=self.decay)
        weight = (1 - decay) * (1 - skip)
        torch._foreach_lerp_(
            list(self.averages.values()), list(self.parameters.values()), [weight] * len(self.averages)
        )
        self.updates += 1 - skip

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
def _copy(source: dict[str, Tensor], target: dict[str, Parameter]) -> None:
    for name, parameter in target.items():
        parameter.copy_(source[name])
