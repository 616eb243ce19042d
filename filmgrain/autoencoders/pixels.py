"""The identity: pixels themselves are diffused."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Config:
    pass


class Codec(nn.Module):
    bounded = True  # x0 lies in [-1, 1], so that samplers may clip it there

    def __init__(self, config: Config):
        super().__init__()

    def encode(self, x: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        return x

    def decode(self, x0: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *chw"]:
        return x0
