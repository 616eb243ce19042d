"""The linear layer over the channels of features, which lie last in memory."""

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

MANY = 512  # rows from which the convolution below is the faster one; its set-up costs more than it saves on fewer


class Linear(nn.Linear):
    """nn.Linear; on a processor in float32, where there are many rows, as a convolution of single pixels.

    The products are the same, but PyTorch has MKL multiply such matrices and oneDNN convolve, and on processors of AMD
    MKL takes twice as long, forth and back. In bfloat16 oneDNN does both.
    """

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c2"]:
        rows = x.numel() // self.in_features
        plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
        if plain or rows < MANY:
            return super().forward(x)
        line = x.reshape(1, 1, rows, self.in_features).permute(0, 3, 1, 2)  # 1 c 1 rows
        out = nnf.conv2d(line, self.weight[:, :, None, None], self.bias)
        return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)
