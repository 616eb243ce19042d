"""The convolution by 3x3 that keeps the size, with a fast path for inference on a processor."""

from jaxtyping import Float
from torch import Tensor, nn

from ..kernels import winograd
from .layout import nchw, nhwc


class Conv3(nn.Conv2d):
    """nn.Conv2d of 3x3 with a border of zeros; without gradients in float32, by its kernel where that is the faster."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        if self.bias is not None and winograd.usable(nhwc(x), self.weight):
            return nchw(winograd.winograd(nhwc(x), self.weight, self.bias))
        return super().forward(x)
