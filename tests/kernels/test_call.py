"""Where kernels are not used: what they cannot read, and what knows nothing of them."""

import pytest
import torch
from torch.autograd import forward_ad

from filmgrain.kernels import call

pytestmark = pytest.mark.usefixtures("kernels")


def test_dense_float32_and_bfloat16_are_usable(plainly):
    for dtype in (torch.float32, torch.bfloat16):
        assert call.usable("rms", torch.zeros(2, 3, dtype=dtype))
        assert not plainly(call.usable, "rms", torch.zeros(2, 3, dtype=dtype))


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 3, dtype=torch.float64),
        torch.zeros(2, 3, dtype=torch.float16),
        torch.zeros(2, 3, device="meta"),
        torch.zeros(2, 6)[:, ::2],
        torch.zeros(2, 3).T,
        torch.zeros(0, 3),
    ],
    ids=["float64", "float16", "elsewhere", "gaps", "turned", "empty"],
)
def test_what_a_kernel_cannot_read(x):
    assert not call.usable("rms", x)


def test_a_kernel_that_is_not_there():
    assert not call.usable("nothing", torch.zeros(2, 3))


def test_transforms_are_no_place_for_a_kernel():
    found = []

    def f(x: torch.Tensor) -> torch.Tensor:
        found.append(call.usable("rms", x))
        return x.sum()

    torch.func.vmap(f)(torch.zeros(2, 3))
    torch.func.grad(f)(torch.zeros(3))
    assert found == [False, False]


def test_forward_differentiation_is_no_place_for_a_kernel():
    x = torch.zeros(2, 3)
    with forward_ad.dual_level():
        assert not call.usable("rms", x)
    assert call.usable("rms", x)
