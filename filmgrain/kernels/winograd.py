"""Convolution by 3x3 in a quarter of the multiplications, for inference: winograd.cpp.

It has no gradient: oneDNN's convolutions are for training. In float32 it differs from them by some 2e-6 of the largest
output, where they differ from the exact ones by half of that.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor

from . import call

NAME = "winograd"
SIDE = 4  # pixels of a tile
FEWEST_TILES = 32  # below, the weights take longer than the tiles
INPUTS, OUTPUTS = 16, 32  # channels must be multiples of these


def usable(x: Tensor, weight: Tensor) -> bool:
    """Whether it can be done, and is worth it, for x (n, h, w, c) and weight (k, c, 3, 3)."""
    n, h, w, c = x.shape
    down, across = -(-h // SIDE), -(-w // SIDE)
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    if c % INPUTS or len(weight) % OUTPUTS or n * down * across < FEWEST_TILES:
        return False
    if 2 * h * w < SIDE * down * SIDE * across:  # much of the tiles lies outside
        return False
    return weight.dtype == x.dtype == torch.float32 and call.wide() and call.usable(NAME, x)


@torch.library.custom_op("filmgrain::winograd", mutates_args=(), device_types="cpu")
def winograd(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (n, h, w, c) with a border of zeros, times weight (k, c, 3, 3), plus bias (k): (n, h, w, k). All in float32."""
    check(x, weight, bias)
    n, h, w, c = x.shape
    x, weight, bias = x.contiguous(), weight.permute(0, 2, 3, 1).contiguous(), bias.contiguous()
    y = x.new_empty(n, h, w, len(weight))
    call.call(NAME, "winograd", x.dtype, x, weight, bias, y, n, h, w, c, len(weight))
    return y


@winograd.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


def plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    return nnf.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)


def check(x: Tensor, weight: Tensor, bias: Tensor) -> None:
    """Raises ValueError unless the shapes fit each other and the kernel, in float32."""
    outputs, inputs = bias.numel(), x.shape[-1]
    fit = weight.shape == (outputs, inputs, 3, 3) and inputs % INPUTS == 0 and outputs % OUTPUTS == 0
    if not fit or {x.dtype, weight.dtype, bias.dtype} != {torch.float32}:
        given = f"weight {tuple(weight.shape)} in {weight.dtype} does not fit x {tuple(x.shape)} in {x.dtype}"
        raise ValueError(f"{given}; pass (k, c, 3, 3) and (n, h, w, c) in float32, c a multiple of 16 and k of 32")
