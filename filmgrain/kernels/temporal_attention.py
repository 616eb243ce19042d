"""Attention among frames, a pixel at a time, in one pass over qkv where the features lie. It saves qkv and bias alone.

`among_frames` of blocks/attention.py is the same with the copies that bring the frames of a pixel together.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from . import call, panels

NAME = "temporal_attention"
MOST_FRAMES, MOST_FEATURES = 64, 128  # of a clip, of a head


def usable(qkv: Tensor, cos: Tensor) -> bool:
    frames, features = cos.shape
    return frames <= MOST_FRAMES and features <= MOST_FEATURES and call.usable(NAME, qkv)


def attend(qkv: Tensor, cos: Tensor, sin: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v of each pixel, with pairs of features of q and k turned by cos and sin (f, d).

    qkv: (b f, h, w, 3 k d) for k heads of d features. bias: (k, f, f), or (b, k, f, f). Returns (b f, h, w, k d).
    """
    bias = bias if bias.ndim == 4 else bias[None]
    return temporal_attention(qkv, bias.float(), cos.float(), sin.float())


@torch.library.custom_op("filmgrain::temporal_attention", mutates_args=(), device_types="cpu")
def temporal_attention(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """bias is (1 or b, k, f, f); it, cos and sin are in float32."""
    _check(qkv, bias, cos, sin)
    out = _like_out(qkv, bias, cos, sin)
    if len(cos) == 1:  # a single frame has all the weight
        return out.copy_(qkv[..., -out.shape[-1] :])
    given = [x.contiguous() for x in (qkv, bias, cos, sin)]
    call.call(NAME, "temporal_attention", qkv.dtype, *given, out, *_sizes(qkv, bias, cos))
    return out


def plain(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The same in plain PyTorch."""
    heads, frames = bias.shape[1:3]
    parts = rearrange(qkv, "(b f) h w (three k d) -> three h w b k f d", three=3, k=heads, f=frames)
    q, k, v = parts.to(bias.dtype)
    q, k = (x * cos + torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2) * sin for x in (q, k))
    weights = (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(dim=-1)
    return rearrange(weights @ v, "h w b k f d -> (b f) h w (k d)").to(qkv.dtype)


def whole_usable(x: Tensor, qkv: Tensor, out: Tensor, cos: Tensor) -> bool:
    """Whether `whole` can be had, and is worth it."""
    return len(cos) > 1 and panels.usable(x, qkv, out) and usable(x, cos)


def whole(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The whole layer, for inference: x (b f, h, w, c) times qkv (3 k d, c), `attend`, times out (c, k d).

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
def _backward(dy: Tensor, qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    _check(qkv, bias, cos, sin)
    made = torch.empty_like(qkv, memory_format=torch.contiguous_format), bias.new_zeros(bias.shape)
    if len(cos) == 1:
        made[0].zero_()[..., -dy.shape[-1] :] = dy
        return made
    given = [x.contiguous() for x in (dy, qkv, bias, cos, sin)]
    call.call(NAME, "temporal_attention_backward", qkv.dtype, *given, *made, *_sizes(qkv, bias, cos))
    return made


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
def _like_out(qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return qkv.new_empty(*qkv.shape[:-1], qkv.shape[-1] // 3)


@layer.register_fake
def _(x: Tensor, qkv: Tensor, out: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@_backward.register_fake
def _(dy: Tensor, qkv: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(qkv, memory_format=torch.contiguous_format), bias.new_empty(bias.shape)


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    qkv, bias, cos, sin = ctx.saved_tensors
    if torch.is_grad_enabled():  # these gradients are to be differentiated in their turn
        return *call.gradients(plain, (qkv, bias), (cos, sin), dy), None, None
    return *_backward(dy, qkv, bias, cos, sin), None, None


temporal_attention.register_autograd(_gradients, setup_context=_save)
