"""silu((x - mean) / std * scale + shift) with mean and std of groups of channels: two reads and a write of memory.

It saves x, and mean and 1 / std of each group.
"""

from typing import Any

import torch
from torch import Tensor

from . import call
from .affine import check

NAME = "group"
Three = tuple[Tensor, Tensor, Tensor]


def usable(x: Tensor) -> bool:
    return call.usable(NAME, x)


def group_norm(x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, activates: bool) -> Tensor:
    """Of samples x (n, ..., c), with scale and shift (m, c) in float32: n / m samples in turn share theirs.

    activates: with silu, or without.
    """
    return _forward(x, scale, shift, groups, eps, activates)[0]


def plain(x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, activates: bool) -> Tensor:
    """The same in plain PyTorch."""
    n, c = len(x), x.shape[-1]
    grouped = x.float().reshape(n, -1, groups, c // groups)
    variance, mean = torch.var_mean(grouped, dim=(1, 3), correction=0, keepdim=True)
    normed = ((grouped - mean) * (variance + eps).rsqrt()).reshape(len(scale), -1, c)  # m, rows, c
    h = (normed * scale[:, None] + shift[:, None]).reshape(x.shape)
    return (torch.nn.functional.silu(h) if activates else h).to(x.dtype)


@torch.library.custom_op("filmgrain::group_norm", mutates_args=(), device_types="cpu")
def _forward(x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, activates: bool) -> Three:
    check(x, scale, shift)
    x, scale, shift = x.contiguous(), scale.contiguous(), shift.contiguous()
    y, mean, inverse = _empty(x, groups)
    sizes = *_sizes(x, scale, groups), eps, activates
    call.call(NAME, "group_forward", x.dtype, x, scale, shift, y, mean, inverse, *sizes)
    return y, mean, inverse


@torch.library.custom_op("filmgrain::group_norm_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, inverse: Tensor, activates: bool
) -> Three:
    dy, x, scale, shift = dy.contiguous(), x.contiguous(), scale.contiguous(), shift.contiguous()
    made = torch.empty_like(x), torch.empty_like(scale), torch.empty_like(shift)
    sizes = *_sizes(x, scale, mean.shape[1]), activates
    call.call(NAME, "group_backward", x.dtype, dy, x, scale, shift, mean, inverse, *made, *sizes)
    return made


def _empty(x: Tensor, groups: int) -> Three:
    """y, and mean and 1 / std of each group."""
    mean, inverse = (x.new_empty((x.shape[0], groups), dtype=torch.float32) for _ in range(2))
    return torch.empty_like(x), mean, inverse


def _sizes(x: Tensor, scale: Tensor, groups: int) -> tuple[int, int, int, int, int]:
    """Samples, rows of each, channels, groups of these, and how many scales there are."""
    n, c = len(x), x.shape[-1]
    return n, x.numel() // (n * c), c, groups, len(scale)


@_forward.register_fake
def _(x: Tensor, scale: Tensor, shift: Tensor, groups: int, eps: float, activates: bool) -> Three:
    return _empty(x, groups)


@_backward.register_fake
def _(dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, inverse: Tensor, activates: bool) -> Three:
    return torch.empty_like(x), torch.empty_like(scale), torch.empty_like(shift)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Three) -> None:
    x, scale, shift, *ctx.settings = inputs
    ctx.save_for_backward(x, scale, shift, *output[1:])


def _gradients(ctx: Any, dy: Tensor, *of_moments: Tensor) -> tuple[Tensor | None, ...]:
    """The moments are nobody's but ours, so nothing depends on them."""
    *tensors, mean, inverse = ctx.saved_tensors
    groups, eps, activates = ctx.settings
    if torch.is_grad_enabled():  # these gradients are to be differentiated in their turn
        return *call.gradients(plain, tensors, (groups, eps, activates), dy), None, None, None
    return *_backward(dy, *tensors, mean, inverse, activates), None, None, None


_forward.register_autograd(_gradients, setup_context=_save)
