"""Products by the way that is the faster one, against those of PyTorch."""

import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.kernels import product


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rows", [3, product.MANY // 3 + 1], ids=["few", "many"])
def test_the_product_and_its_gradients_are_those_of_a_linear_layer(rows, dtype):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, 3, 24), torch.randn(7, 24), torch.randn(7)
    x, weight, bias = (t.to(dtype).requires_grad_() for t in (x, weight, bias))
    y, dy = nnf.linear(x, weight, bias), torch.randn(rows, 3, 7).to(dtype)
    found = product.product(x, weight, bias), product.gradient(dy, x, weight)
    for mine, true in zip(found, (y, *torch.autograd.grad(y, (weight,), dy)), strict=True):
        assert mine.shape == true.shape and mine.dtype == dtype
        assert (mine - true).abs().max() <= (2**-7 if dtype == torch.bfloat16 else 1e-5) * true.abs().max()
