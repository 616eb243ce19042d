"""Counter-based random numbers: every value is a function of (seed, purpose, n), never of what was drawn before.

So a resumed run, another number of workers or another batch size cannot change what is drawn, and a sample's noise is
the same alone and in a batch, on the CPU and on a GPU (it is drawn on the CPU, by Philox: Salmon et al. 2011).
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

GOLDEN = 0.6180339887498949  # the additive recurrence of lowest discrepancy in one dimension


def generator(seed: int, purpose: str, n: int) -> np.random.Generator:
    key = hashlib.blake2b(f"{seed}:{purpose}:{n}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


@dataclass(frozen=True)
class Draw:
    """The random numbers of a batch, one stream for each of its draw numbers n and each purpose."""

    seed: int
    n: tuple[int, ...]

    def normal(self, purpose: str, like: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        """Standard normal noise of the shape, device and dtype of `like`, whose first axis is the batch's."""
        shape = tuple(like.shape[1:])
        noise = [generator(self.seed, purpose, n).standard_normal(shape, dtype=np.float32) for n in self.n]
        return torch.from_numpy(np.stack(noise)).to(like)

    def uniform(self, purpose: str) -> Float[Tensor, " b"]:
        """One number in [0, 1) a sample; float64, on the CPU."""
        return torch.tensor([generator(self.seed, purpose, n).random() for n in self.n], dtype=torch.float64)

    def times(self) -> Float[Tensor, " b"]:
        """t_n = frac(u(seed) + n / golden ratio): spread evenly over any run of draws. float64, on the CPU."""
        u = generator(self.seed, "time", 0).random()
        return (u + torch.tensor(self.n, dtype=torch.float64) * GOLDEN) % 1

    def noise(self, step: int, like: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        """The noise of one step of a sampler."""
        return self.normal(f"step {step}", like)
