"""What kernels of whole attention layers have in common: both linear layers are inside, by panels.h."""

import torch
from torch import Tensor

from . import call

INPUTS, OUTPUTS = 16, 32  # channels of a linear layer must be multiples of these
MOST_BYTES = 1 << 19  # of both linear layers' weights; more do not stay in a processor's second cache


def usable(x: Tensor, qkv: Tensor, out: Tensor) -> bool:
    """Whether it can be done, and is worth it, for x (n, h, w, c), qkv (3 k d, c) and out (c, k d)."""
    if x.device.type != "cpu" or torch.is_grad_enabled():
        return False
    dtype = call.computed_in(x)
    if dtype not in call.SUFFIX or not (call.wide() if dtype == torch.float32 else call.multiplies_bfloat16()):
        return False
    if not torch.is_autocast_enabled("cpu") and {qkv.dtype, out.dtype} != {dtype}:
        return False
    size = (qkv.numel() + out.numel()) * dtype.itemsize
    return size <= MOST_BYTES and not any(len(w) % OUTPUTS or w.shape[1] % INPUTS for w in (qkv, out))


def check(x: Tensor, qkv: Tensor, out: Tensor, *others: Tensor) -> None:
    """Raises ValueError unless the weights fit x and panels, and all are of one type."""
    channels, features = x.shape[-1], len(qkv) // 3
    fit = qkv.shape == (3 * features, channels) and out.shape == (channels, features)
    fit = fit and not any(len(w) % OUTPUTS or w.shape[1] % INPUTS for w in (qkv, out))
    if not fit or x.dtype not in call.SUFFIX or {t.dtype for t in (qkv, out, *others)} != {x.dtype}:
        given = f"weights {tuple(qkv.shape)} and {tuple(out.shape)} in {qkv.dtype} do not fit x {tuple(x.shape)}"
        raise ValueError(f"{given} in {x.dtype}; pass (3 e, c), (e, c).T and one type, c and e multiples of {OUTPUTS}")
