"""Attention among frames, a pixel at a time, in one pass over qkv where features lie. It keeps qkv, bias and weight.

`among_frames` of blocks/attention.py is the same with the copies that bring the frames of a pixel together.
"""

from typing import Any

import torch
import torch.nn.functional as nnf
from einops import rearrange
from torch import Tensor

from . import call, panels
from .product import as_given, gradient

NAME = "temporal_attention"
MOST_FRAMES, MOST_FEATURES = 64, 128  # of a clip, of a head


def usable(qkv: Tensor, cos: Tensor) -> bool:
    frames, features = cos.shape
    return frames <= MOST_FRAMES and features <= MOST_FEATURES and call.usable(NAME, qkv)


def attended(qkv: Tensor, cos: Tensor, sin: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v of each pixel, with pairs of features of q and k turned by cos and sin (f, d).

    qkv: (b f, h, w, 3 k d) for k heads of d features. bias: (k, f, f), or (b, k, f, f). Returns it times weight
    (c, k d): (b f, h, w, c). For gradients qkv is kept, but not the attention's own output, which is made again.
    """
    bias = bias if bias.ndim == 4 else bias[None]
    return temporal_attention(qkv, bias.float(), cos.float(), sin.float(), weight.to(qkv.dtype))


@torch.library.custom_op("filmgrain::temporal_attention", mutates_args=(), device_types="cpu")
def temporal_attention(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor, weight: Tensor) -> Tensor:
    """bias is (1 or b, k, f, f); it, cos and sin are in float32."""
    _check(qkv, bias, cos, sin)
    if len(cos) == 1:  # a single frame has all the weight
        return as_given(qkv[..., -weight.shape[1] :], weight)
    out = qkv.new_empty(*qkv.shape[:-1], weight.shape[1])
    given = [x.contiguous() for x in (qkv, bias, cos, sin)]
    call.call(NAME, "temporal_attention", qkv.dtype, *given, out, *_sizes(qkv, bias, cos))
    return as_given(out, weight)


def plain(qkv: Tensor, bias: Tensor, weight: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    heads, frames = bias.shape[1:3]
    parts = rearrange(qkv, "(b f) h w (three k d) -> three h w b k f d", three=3, k=heads, f=frames)
    q, k, v = parts.to(bias.dtype)
    q, k = (x * cos + torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2) * sin for x in (q, k))
    weights = (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(dim=-1)
    return nnf.linear(rearrange(weights @ v, "h w b k f d -> (b f) h w (k d)").to(qkv.dtype), weight)


def whole_usable(x: Tensor, qkv: Tensor, out: Tensor, cos: Tensor) -> bool:
    """Whether `whole` can be had, and is worth it."""
    return len(cos) > 1 and panels.usable(x, qkv, out) and usable(x, cos)


def whole(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The whole layer, for inference: x (b f, h, w, c) times qkv (3 k d, c), attention, times out (c, k d).

    The queries, keys and values, many times as large as x, are never all in memory. All sums are in float32.
    """
    bias = bias if bias.ndim == 4 else bias[None]
    x, qkv, out = (t.to(call.computed_in(x)) for t in (x, qkv, out))
    return layer(x, qkv, out, bias.float(), cos.float(), sin.float())


@torch.library.custom_op("filmgrain::temporal_layer", mutates_args=(), device_types="cpu")
def layer(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """bias is (1 or b, k, f, f); it, cos and sin are in float32, all else in x's type."""
    panels.check(x, qkv, out)
    wide = x[..., :1].expand(*x.shape[:-1], len(qkv))  # qkv, were it made
    _check(wide, bias, cos, sin)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    given = [t.contiguous() for t in (x, qkv, out, bias, cos, sin)]
    call.call(NAME, "temporal_layer", x.dtype, *given, y, *_sizes(wide, bias, cos), x.shape[-1])
    return y


@torch.library.custom_op("filmgrain::temporal_attention_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor, qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of qkv, bias and weight."""
    _check(qkv, bias, cos, sin)
    dout, dqkv, dbias = as_given(dy, weight.mT.contiguous()), torch.empty_like(qkv), bias.new_zeros(bias.shape)
    features = dout.shape[-1]
    if len(cos) == 1:
        out = qkv[..., -features:]
        dqkv.zero_()[..., -features:] = dout
    else:
        out = torch.empty_like(dout)
        given = [x.contiguous() for x in (dout, qkv, bias, cos, sin)]
        call.call(NAME, "temporal_attention_backward", qkv.dtype, *given, dqkv, dbias, out, *_sizes(qkv, bias, cos))
    return dqkv, dbias, gradient(dy, out, weight)


def _check(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Raises ValueError unless the sizes fit each other and the kernel, and all but qkv are in float32."""
    (biases, heads, frames, queries), features = bias.shape, cos.shape[-1]
    fit = frames == queries and cos.shape == sin.shape == (frames, features) and qkv.shape[-1] == 3 * heads * features
    fit = fit and len(qkv) % frames == 0 and biases in (1, len(qkv) // frames)
    small = frames <= MOST_FRAMES and features <= MOST_FEATURES and features % 2 == 0
    if not fit or not small or {x.dtype for x in (bias, cos, sin)} != {torch.float32}:
        given = (
            f"bias {tuple(bias.shape)} in {bias.dtype} and turn {tuple(cos.shape)} do not fit qkv {tuple(qkv.shape)}"
        )
        raise ValueError(f"{given}; pass (b or 1, k, f, f) and (f, d) in float32, of f <= 64 frames and even d <= 128")


def _sizes(qkv: Tensor, bias: Tensor, cos: Tensor) -> tuple[int, ...]:
    """Clips, frames, pixels, heads, features of a head, biases."""
    n, height, width, _ = qkv.shape
    biases, heads, frames, _ = bias.shape
    return n // frames, frames, height * width, heads, cos.shape[-1], biases


@temporal_attention.register_fake
def _(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor, weight: Tensor) -> Tensor:
    return qkv.new_empty(*qkv.shape[:-1], len(weight))


@layer.register_fake
def _(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_backward.register_fake
def _(dy: Tensor, qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(qkv), bias.new_empty(bias.shape), torch.empty_like(weight)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    qkv, bias, cos, sin, weight = ctx.saved_tensors
    if torch.is_grad_enabled():  # these gradients are to be differentiated in their turn
        dqkv, dbias, dweight = call.gradients(plain, (qkv, bias, weight), (cos, sin), dy)
    else:
        dqkv, dbias, dweight = _backward(dy.contiguous(), qkv, bias, cos, sin, weight)
    return dqkv, dbias, None, None, dweight


temporal_attention.register_autograd(_gradients, setup_context=_save)
