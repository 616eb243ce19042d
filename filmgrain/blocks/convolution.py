"""The convolution by 3x3 that keeps the size, with a fast path for inference on a processor."""

from functools import partial

import torch
import torch.nn.functional as nnf
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


def of_both(
    layer: nn.Module, x: Float[Tensor, "n c h w"], across: Float[Tensor, "n c2 h w"]
) -> Float[Tensor, "n k h w"]:
    """layer(cat([x, across])). Of a convolution both are kept for the gradient, and no joint copy beside them."""
    if not isinstance(layer, nn.Conv2d) or layer.groups > 1 or not torch.is_grad_enabled():
        return layer(torch.cat([x, across], dim=1))
    convolve = partial(nnf.conv2d, stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
    ours, theirs = layer.weight.split([x.shape[1], across.shape[1]], dim=1)
    return convolve(x, ours, layer.bias) + convolve(across, theirs)
