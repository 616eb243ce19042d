"""A model sampled from with fewer evaluations of its deep levels (Ma et al. 2024, DeepCache)."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..blocks.memory import Memory
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..model import DiffusionModel


@dataclass(frozen=True, eq=False)
class DeepCache:
    """The model, its network's levels below the finest computed at every so many calls alone: see blocks/memory.py.

    For one walk of one batch, whose conditions stay as they are.
    """

    model: DiffusionModel
    memory: Memory

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        network: Any = self.model.network
        network.remember(self.memory)
        try:
            return self.model(z, logsnr, cond)
        finally:
            network.remember(None)


def cached(model: DiffusionModel, every: int) -> Denoiser:
    """The model with a new memory; for every = 1 itself. Raises ValueError for a network that cannot remember."""
    if every == 1:
        return model
    if not hasattr(model.network, "remember"):
        name = type(model.network).__module__.rpartition(".")[2]
        raise ValueError(f"cache={every}, but {name} keeps nothing from one call to the next; use cache=1")
    return DeepCache(model, Memory(every))
