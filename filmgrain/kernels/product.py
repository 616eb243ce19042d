"""Products of features, which lie last in memory, and the weights of a linear layer, by the faster way of two.

The products are the same, but PyTorch has MKL multiply such matrices and oneDNN convolve, and on processors of AMD MKL
takes twice as long, forth and back. In bfloat16 oneDNN does both.
"""

import torch
import torch.nn.functional as nnf
from torch import Tensor

MANY = 512  # rows from which a convolution of single pixels is the faster one; on fewer its set-up takes longer


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (*n, c) times weight (c2, c), plus bias (c2): (*n, c2)."""
    if not _convolves(x):
        return nnf.linear(x, weight, bias)
    out = nnf.conv2d(_line(x), weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def as_given(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The product in the type of x and weight, whatever autocast would have: kernels rely on it."""
    with torch.autocast("cpu", enabled=False):
        return product(x, weight, bias)


@torch.autocast("cpu", enabled=False)
def gradient(dy: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Of weight, from that of the product."""
    if not _convolves(x):
        return dy.flatten(0, -2).mT @ x.flatten(0, -2)
    single = [1, 1], [0, 0], [1, 1], False, [0, 0], 1  # pixels: stride, padding, dilation, not transposed, one group
    _, dweight, _ = torch.ops.aten.convolution_backward(
        _line(dy), _line(x), weight[:, :, None, None], None, *single, [False, True, False]
    )
    return dweight[:, :, 0, 0]


def _convolves(x: Tensor) -> bool:
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    return x.numel() // x.shape[-1] >= MANY


def _line(x: Tensor) -> Tensor:
    """As a picture of a single row: 1 c 1 rows."""
    return x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
