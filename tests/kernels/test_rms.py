"""The kernel of RMSNorm, modulation and SiLU against the plain path of blocks/."""

import pytest
import torch
from torch import Tensor, nn

from filmgrain.blocks.norm import RMSNorm
from filmgrain.blocks.residual import activate
from filmgrain.kernels import rms

pytestmark = pytest.mark.usefixtures("kernels")
SIZES = [(1, 1, 1, 1, 1), (2, 1, 3, 3, 3), (1, 5, 7, 1, 9), (2, 2, 12, 3, 3), (2, 16, 32, 5, 5), (1, 2, 600, 2, 2)]


def made(b: int, frames: int, c: int, h: int, w: int) -> tuple[RMSNorm, Tensor, Tensor, Tensor]:
    """A norm, features, the modulation of each clip, and a gradient to come back."""
    torch.manual_seed(0)
    norm = RMSNorm(c)
    nn.init.normal_(norm.gamma)
    shapes = (b * frames, c, h, w), (b, 2 * c), (b * frames, c, h, w)
    x, modulation, dy = (torch.randn(shape).bfloat16().float() for shape in shapes)  # exact in both types
    x, dy = (t.contiguous(memory_format=torch.channels_last) for t in (x, dy))
    return norm, x.requires_grad_(), modulation.requires_grad_(), dy


def value_and_gradients(norm: RMSNorm, x: Tensor, frames: int, modulation: Tensor, dy: Tensor) -> list[Tensor]:
    y = activate(norm, x, frames, modulation)
    return [y, *torch.autograd.grad(y, (x, modulation, norm.gamma), dy)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_the_plain_path(size, plainly):
    norm, x, modulation, dy = made(*size)
    given = norm, x, size[1], modulation, dy
    for ours, plain in zip(value_and_gradients(*given), plainly(value_and_gradients, *given), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-5, atol=1e-5 * max(1.0, float(plain.detach().abs().max())))


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_in_bfloat16_it_is_nearer_to_float32(size, plainly):
    norm, x, modulation, dy = made(*size)
    exact = plainly(value_and_gradients, norm, x, size[1], modulation, dy)
    x, modulation = (t.detach().bfloat16().requires_grad_() for t in (x, modulation))
    half = norm, x, size[1], modulation, dy.bfloat16()
    for ours, plain, true in zip(value_and_gradients(*half), plainly(value_and_gradients, *half), exact, strict=True):
        assert ours.dtype == plain.dtype
        largest = true.abs().max()
        assert (ours - true).abs().max() <= (plain - true).abs().max() + 0.004 * largest
        assert (ours - true).abs().max() < 0.03 * largest


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_operator_keeps_its_promises_to_torch(silu, dtype):
    x = torch.randn(2, 3, 3, 6, dtype=dtype, requires_grad=True)
    scale, shift = (torch.randn(2, 6, requires_grad=True) for _ in range(2))
    torch.library.opcheck(rms.rms_norm, (x, scale, shift, silu))


def test_second_derivatives_are_those_of_the_plain_path(plainly):
    norm, x, modulation, dy = made(2, 2, 6, 3, 3)

    def second() -> tuple[Tensor, ...]:
        y = activate(norm, x, 2, modulation)
        first = torch.autograd.grad(y, (x, modulation, norm.gamma), dy, create_graph=True)
        return torch.autograd.grad(sum(g.pow(2).sum() for g in first), (x, modulation, norm.gamma))

    for ours, plain in zip(second(), plainly(second), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-3)


def test_a_pixel_of_zeros_stays_zero_and_has_a_gradient():
    x = torch.zeros(1, 2, 2, 4, requires_grad=True)
    y = rms.rms_norm(x, torch.ones(1, 4), torch.zeros(1, 4), True)
    y.sum().backward()
    assert not y.any() and x.grad.isfinite().all()


def test_what_is_not_finite_comes_out():
    x = torch.ones(1, 1, 3, 4)
    x[0, 0, 0, 1], x[0, 0, 1, 2] = torch.nan, torch.inf
    y = rms.rms_norm(x, torch.ones(1, 4), torch.zeros(1, 4), True)[0, 0]
    assert y[0].isnan().all() and not y[1].isfinite().all() and y[2].isfinite().all()


def test_threads_change_nothing():
    norm, x, modulation, dy = made(2, 4, 48, 16, 16)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(value_and_gradients(norm, x, 4, modulation, dy))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_it_is_compiled_into_one_graph():
    def f(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return rms.rms_norm(x, scale, shift, True) if rms.usable(x) else x

    given = torch.randn(2, 3, 3, 6, requires_grad=True), torch.randn(1, 6), torch.randn(1, 6)
    y = torch.compile(f, backend="aot_eager", fullgraph=True)(*given)
    assert torch.equal(y, f(*given)) and not torch.equal(y, given[0])
    compiled, plain = (torch.autograd.grad(z.sum(), given[0])[0] for z in (y, f(*given)))
    assert torch.equal(compiled, plain)


def test_what_does_not_fit_is_refused():
    x = torch.randn(3, 2, 2, 4)
    for scale in (torch.ones(2, 4), torch.ones(1, 5), torch.ones(1, 4).double()):
        with pytest.raises(ValueError, match="do not fit features"):
            rms.rms_norm(x, scale, torch.zeros_like(scale), True)
