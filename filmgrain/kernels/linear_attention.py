"""Linear attention among the pixels of a frame as an operator: linear_attention.cpp, and its gradient.

What is saved for the gradient is qkv alone, but for weights and d + 1 numbers a feature and frame.
"""

from typing import Any

import torch
import torch.nn.functional as nnf
from einops import rearrange
from torch import Tensor

from . import call, panels
from .product import as_given, gradient

NAME = "linear_attention"
FEWEST = 8  # frames, which threads share among them; how many threads there are must not choose the path


def usable(qkv: Tensor) -> bool:
    return call.usable(NAME, qkv)


def attended(qkv: Tensor, heads: int, weight: Tensor, bias: Tensor) -> Tensor:
    """`attend_linearly` of blocks/attention.py, times weight (c, heads d), plus bias (c): (n, h, w, c).

    For gradients qkv is kept, but not the attention's own output, which is made again.
    """
    return _forward(qkv, heads, weight.to(qkv.dtype), bias.to(qkv.dtype))[0]


@torch.library.custom_op("filmgrain::linear_attention", mutates_args=(), device_types="cpu")
def _forward(qkv: Tensor, heads: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What comes out, softmax(k)^T v of each frame and head, and the log of the sum over pixels of exp(k)."""
    _, context, logsum = _empty(qkv, heads, weight, bias)
    n, h, w, features = qkv.shape
    out = qkv.new_empty(n, h, w, features // 3)
    call.call(NAME, "linear_attention_forward", qkv.dtype, qkv, out, context, logsum, n, h * w, *logsum.shape[1:])
    return as_given(out, weight, bias), context, logsum


@_forward.register_fake
def _empty(qkv: Tensor, heads: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    n, h, w, features = qkv.shape
    d = features // (3 * heads)
    context = qkv.new_empty(n, heads, d, d, dtype=torch.float32)
    return qkv.new_empty(n, h, w, len(weight)), context, qkv.new_empty(n, heads, d, dtype=torch.float32)


def plain(qkv: Tensor, weight: Tensor, bias: Tensor, heads: int) -> Tensor:
    """The same in plain PyTorch."""
    q, k, v = rearrange(qkv, "n h w (three k d) -> three n k (h w) d", three=3, k=heads)
    out = q.softmax(dim=-1) * q.shape[-1] ** -0.5 @ (k.softmax(dim=-2).mT @ v)
    return nnf.linear(rearrange(out, "n k (h w) d -> n h w (k d)", h=qkv.shape[1]), weight, bias)


def whole_usable(x: Tensor, qkv: Tensor, out: Tensor) -> bool:
    """Whether `whole` can be had, and is worth it."""
    return len(x) >= FEWEST and panels.usable(x, qkv, out) and usable(x)


def whole(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, heads: int) -> Tensor:
    """The whole layer, for inference: x (n, h, w, c) times qkv (3 k d, c), attention, times out (c, k d), plus bias.

    The queries, keys and values, many times as large as x, are never all in memory. All sums are in float32.
    """
    x, qkv, out, bias = (t.to(call.computed_in(x)) for t in (x, qkv, out, bias))
    return layer(x, qkv, out, bias, heads)


@torch.library.custom_op("filmgrain::linear_layer", mutates_args=(), device_types="cpu")
def layer(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, heads: int) -> Tensor:
    """All tensors are of one type."""
    panels.check(x, qkv, out, bias)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    n, h, w, c = x.shape
    given = [t.contiguous() for t in (x, qkv, out, bias)]
    call.call(NAME, "linear_layer", x.dtype, *given, y, n, h * w, heads, len(qkv) // (3 * heads), c)
    return y


@layer.register_fake
def _(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, heads: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@torch.library.custom_op("filmgrain::linear_attention_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor, qkv: Tensor, weight: Tensor, context: Tensor, logsum: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of qkv, weight and bias."""
    dout, dqkv = as_given(dy, weight.mT.contiguous()), torch.empty_like(qkv)
    out = torch.empty_like(dout)
    n, h, w, _ = qkv.shape
    given = qkv, dout, context, logsum, dqkv, out
    call.call(NAME, "linear_attention_backward", qkv.dtype, *given, n, h * w, *logsum.shape[1:])
    return dqkv, gradient(dy, out, weight), dy.flatten(0, -2).sum(0)


@_backward.register_fake
def _(dy: Tensor, qkv: Tensor, weight: Tensor, context: Tensor, logsum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(qkv), torch.empty_like(weight), weight.new_empty(len(weight))


def _save(ctx: Any, inputs: tuple[Tensor, int, Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
    qkv, ctx.heads, weight, bias = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(qkv, weight, bias, *output[1:])


def _gradients(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    qkv, weight, bias, context, logsum = ctx.saved_tensors
    if torch.is_grad_enabled():  # these gradients are to be differentiated in their turn
        dqkv, dweight, dbias = call.gradients(plain, (qkv, weight, bias), (ctx.heads,), dy)
    else:
        dqkv, dweight, dbias = _backward(dy.contiguous(), qkv, weight, context, logsum)
    return dqkv, None, dweight, dbias


_forward.register_autograd(_gradients, setup_context=_save)
