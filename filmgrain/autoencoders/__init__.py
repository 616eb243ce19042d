"""Codecs: data x to what is diffused, x0, with unit standard deviation, and back. One a file, `Config` and `Codec`."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Codec(Protocol):
    """An nn.Module."""

    bounded: bool  # x0 lies in [-1, 1], so that samplers may clip it there

    def encode(self, x: Float[Tensor, "b *chw"]) -> Float[Tensor, "b *x0"]: ...

    def decode(self, x0: Float[Tensor, "b *x0"]) -> Float[Tensor, "b *chw"]: ...
