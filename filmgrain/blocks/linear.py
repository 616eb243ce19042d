"""The linear layer over the channels of features, which lie last in memory."""

from jaxtyping import Float
from torch import Tensor, nn

from ..kernels.product import product


class Linear(nn.Linear):
    """nn.Linear; on a processor in float32, where there are many rows, as a convolution of single pixels."""

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c2"]:
        return product(x, self.weight, self.bias)
