"""silu(x / rms(x) * scale + shift) over channels, a pixel at a time, in one pass over memory. It saves x alone."""

from typing import Any

import torch
from torch import Tensor

from . import call
from .affine import check

NAME = "rms"


def usable(x: Tensor) -> bool:
    return call.usable(NAME, x)


@torch.library.custom_op("filmgrain::rms_norm", mutates_args=(), device_types="cpu")
def rms_norm(x: Tensor, scale: Tensor, shift: Tensor, activates: bool) -> Tensor:
    """Of x (n, ..., c), with scale and shift (m, c) in float32, where n is a multiple of m: n / m in turn share theirs.

    activates: with silu, or without.
    """
    check(x, scale, shift)
    x, scale, shift = x.contiguous(), scale.contiguous(), shift.contiguous()
    y = torch.empty_like(x)
    call.call(NAME, "rms_forward", x.dtype, x, scale, shift, y, *_sizes(x, scale), activates)
    return y


def plain(x: Tensor, scale: Tensor, shift: Tensor, activates: bool) -> Tensor:
    """The same in plain PyTorch."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).clamp(min=1e-12)
    normed = (x * (x.shape[-1] ** 0.5 / norm)).reshape(len(scale), -1, x.shape[-1])  # m, pixels, c
    h = (normed * scale[:, None] + shift[:, None]).reshape(x.shape)
    return (torch.nn.functional.silu(h) if activates else h).to(x.dtype)


@torch.library.custom_op("filmgrain::rms_norm_backward", mutates_args=(), device_types="cpu")
def _backward(dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, activates: bool) -> tuple[Tensor, Tensor, Tensor]:
    dy, x, scale, shift = dy.contiguous(), x.contiguous(), scale.contiguous(), shift.contiguous()
    made = torch.empty_like(x), torch.empty_like(scale), torch.empty_like(shift)
    call.call(NAME, "rms_backward", x.dtype, dy, x, scale, shift, *made, *_sizes(x, scale), activates)
    return made


def _sizes(x: Tensor, scale: Tensor) -> tuple[int, int, int]:
    """Rows, channels, and how many rows in turn share their scale."""
    rows = x.numel() // x.shape[-1]
    return rows, x.shape[-1], rows // len(scale)


@rms_norm.register_fake
def _(x: Tensor, scale: Tensor, shift: Tensor, activates: bool) -> Tensor:
    return torch.empty_like(x)


@_backward.register_fake
def _(dy: Tensor, x: Tensor, scale: Tensor, shift: Tensor, activates: bool) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(scale), torch.empty_like(shift)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor) -> None:
    *tensors, ctx.activates = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    tensors = ctx.saved_tensors
    if torch.is_grad_enabled():  # these gradients are to be differentiated in their turn
        return *call.gradients(plain, tensors, (ctx.activates,), dy), None
    return *_backward(dy, *tensors, ctx.activates), None


rms_norm.register_autograd(_gradients, setup_context=_save)
