"""Linear attention among the pixels of a frame as an operator: linear_attention.cpp, and its gradient.

What is saved for the gradient is qkv alone, but for d + 1 numbers a feature and frame.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from . import call, panels

NAME = "linear_attention"
FEWEST = 8  # frames, which threads share among them; how many threads there are must not choose the path


def usable(qkv: Tensor) -> bool:
    return call.usable(NAME, qkv)


def linear_attention(qkv: Tensor, heads: int) -> Tensor:
    """(n, h, w, 3 heads d) to (n, h, w, heads d): see `blocks.attention.attend_linearly`."""
    return _forward(qkv, heads)[0]


@torch.library.custom_op("filmgrain::linear_attention", mutates_args=(), device_types="cpu")
def _forward(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """What comes out, softmax(k)^T v of each frame and head, and the log of the sum over pixels of exp(k)."""
    out, context, logsum = _empty(qkv, heads)
    n, h, w, _ = qkv.shape
    sizes = n, h * w, heads, logsum.shape[-1]
    call.call(NAME, "linear_attention_forward", qkv.dtype, qkv, out, context, logsum, *sizes)
    return out, context, logsum


@_forward.register_fake
def _empty(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    n, h, w, features = qkv.shape
    d = features // (3 * heads)
    context = qkv.new_empty(n, heads, d, d, dtype=torch.float32)
    return qkv.new_empty(n, h, w, heads * d), context, qkv.new_empty(n, heads, d, dtype=torch.float32)


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
def _backward(qkv: Tensor, g: Tensor, context: Tensor, logsum: Tensor) -> Tensor:
    dqkv = torch.empty_like(qkv)
    n, h, w, _ = qkv.shape
    sizes = n, h * w, *logsum.shape[1:]
    call.call(NAME, "linear_attention_backward", qkv.dtype, qkv, g, context, logsum, dqkv, *sizes)
    return dqkv


@_backward.register_fake
def _(qkv: Tensor, g: Tensor, context: Tensor, logsum: Tensor) -> Tensor:
    return torch.empty_like(qkv)


def _save(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor, Tensor]) -> None:
    qkv, ctx.heads = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(qkv, *output[1:])


def _gradient(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor, None]:
    qkv, context, logsum = ctx.saved_tensors
    if torch.is_grad_enabled():  # for second derivatives
        return plain_gradient(qkv, g, ctx.heads), None
    return _backward(qkv, g.contiguous(), context, logsum), None


_forward.register_autograd(_gradient, setup_context=_save)


def plain_gradient(qkv: Tensor, g: Tensor, heads: int) -> Tensor:
    """The gradient of qkv, made of what can be differentiated again; linear_attention.cpp has the formulas."""
    q, k, v = rearrange(qkv, "n h w (three k d) -> three n k (h w) d", three=3, k=heads)
    g = rearrange(g, "n h w (k d) -> n k (h w) d", k=heads) * q.shape[-1] ** -0.5
    p, s = q.softmax(dim=-1), k.softmax(dim=-2)
    d_context = p.mT @ g
    dp, ds = g @ (s.mT @ v).mT, v @ d_context.mT
    dq = p * (dp - (p * dp).sum(dim=-1, keepdim=True))
    dk = s * (ds - (s * ds).sum(dim=-2, keepdim=True))
    return rearrange([dq, dk, s @ d_context], "three n k (h w) d -> n h w (three k d)", h=qkv.shape[1])
