"""Two views of the same channels-last memory."""

from jaxtyping import Float
from torch import Tensor


def nhwc(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w c"]:
    return x.permute(0, 2, 3, 1)


def nchw(x: Float[Tensor, "n h w c"]) -> Float[Tensor, "n c h w"]:
    return x.permute(0, 3, 1, 2)
