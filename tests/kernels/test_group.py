"""The kernel of GroupNorm, modulation and SiLU against the plain path of blocks/."""

import pytest
import torch
from torch import Tensor, nn

from filmgrain.blocks.norm import ClipGroupNorm, GroupNorm
from filmgrain.blocks.residual import activate
from filmgrain.kernels import group

pytestmark = pytest.mark.usefixtures("kernels")
SIZES = [(1, 1, 1, 1, 2, 2), (2, 1, 3, 3, 3, 3), (1, 5, 12, 4, 1, 9), (2, 2, 14, 2, 3, 3), (2, 16, 32, 8, 5, 5)]
SIZES += [(1, 3, 600, 2, 8, 8)]  # several blocks of rows a sample
Norm = GroupNorm | ClipGroupNorm


def made(kind: type, b: int, frames: int, c: int, groups: int, h: int, w: int) -> tuple[Norm, Tensor, Tensor, Tensor]:
    """A norm, features, the modulation of each sample, and a gradient to come back."""
    torch.manual_seed(0)
    norm = kind(groups, c)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    shapes = (b * frames, c, h, w), (b if kind is ClipGroupNorm else b * frames, 2 * c), (b * frames, c, h, w)
    x, modulation, dy = (torch.randn(shape).bfloat16().float() for shape in shapes)  # exact in both types
    x, dy = (t.contiguous(memory_format=torch.channels_last) for t in (x, dy))
    return norm, x.requires_grad_(), modulation.requires_grad_(), dy


def value_and_gradients(norm: Norm, x: Tensor, frames: int, modulation: Tensor, dy: Tensor) -> list[Tensor]:
    y = activate(norm, x, frames if isinstance(norm, ClipGroupNorm) else 1, modulation)
    return [y, *torch.autograd.grad(y, (x, modulation, norm.weight, norm.bias), dy)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", [GroupNorm, ClipGroupNorm])
def test_it_is_the_plain_path(kind, size, plainly):
    norm, x, modulation, dy = made(kind, *size)
    given = norm, x, size[1], modulation, dy
    for ours, plain in zip(value_and_gradients(*given), plainly(value_and_gradients, *given), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-5 * max(1.0, float(plain.detach().abs().max())))


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
@pytest.mark.parametrize("kind", [GroupNorm, ClipGroupNorm])
def test_in_bfloat16_it_is_near_to_float32(kind, size, plainly):
    norm, x, modulation, dy = made(kind, *size)
    exact = plainly(value_and_gradients, norm, x, size[1], modulation, dy)
    x, modulation = (t.detach().bfloat16().requires_grad_() for t in (x, modulation))
    half = norm, x, size[1], modulation, dy.bfloat16()
    for ours, plain, true in zip(value_and_gradients(*half), plainly(value_and_gradients, *half), exact, strict=True):
        assert ours.dtype == plain.dtype
        assert (ours - true).abs().max() < 0.03 * true.abs().max()


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_operator_keeps_its_promises_to_torch(silu, dtype):
    x = torch.randn(2, 3, 3, 6, dtype=dtype, requires_grad=True)
    scale, shift = (torch.randn(2, 6, requires_grad=True) for _ in range(2))
    torch.library.opcheck(group._forward, (x, scale, shift, 3, 1e-5, silu))


def test_second_derivatives_are_those_of_the_plain_path(plainly):
    norm, x, modulation, dy = made(GroupNorm, 2, 1, 6, 2, 3, 3)

    def second() -> tuple[Tensor, ...]:
        y = activate(norm, x, 1, modulation)
        first = torch.autograd.grad(y, (x, modulation, norm.weight), dy, create_graph=True)
        return torch.autograd.grad(sum(g.pow(2).sum() for g in first), (x, modulation, norm.weight))

    for ours, plain in zip(second(), plainly(second), strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-3 * float(plain.detach().abs().max()))


@pytest.mark.parametrize("far", [0.0, 100.0])
def test_a_large_mean_costs_no_digits(far):
    torch.manual_seed(0)
    x = torch.randn(2, 8, 8, 4) + far * torch.tensor([1.0, 1.0, -1.0, -1.0])
    y = group.group_norm(x, torch.ones(1, 4), torch.zeros(1, 4), 2, 1e-5, False)
    assert (y - nn.functional.group_norm(x.double().permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)).abs().max() < 2e-5


def test_a_sample_does_not_see_the_others():
    norm, x, modulation, dy = made(GroupNorm, 3, 1, 32, 4, 8, 8)
    together = value_and_gradients(norm, x, 1, modulation, dy)
    alone = value_and_gradients(norm, x[1:2], 1, modulation[1:2], dy[1:2])
    assert torch.equal(together[0][1:2], alone[0])


@pytest.mark.parametrize("samples", [1, 3])
def test_threads_change_nothing(samples):
    norm, x, modulation, dy = made(GroupNorm, samples, 1, 64, 8, 32, 32)  # of one sample the blocks are shared out
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(value_and_gradients(norm, x, 1, modulation, dy))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_constant_group_has_no_gradient_to_infinity():
    x = torch.full((1, 4, 4, 4), 3.0, requires_grad=True)
    y = group.group_norm(x, torch.ones(1, 4), torch.full((1, 4), 0.5), 2, 1e-5, True)
    y.pow(2).sum().backward()
    assert torch.allclose(y, nn.functional.silu(torch.tensor(0.5))) and x.grad.abs().max() < 1e-3
