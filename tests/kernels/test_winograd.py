"""The kernel of convolutions by 3x3 against PyTorch's, in float64."""

import pytest
import torch
from torch import Tensor, nn

from filmgrain.blocks.convolution import Conv3
from filmgrain.kernels import winograd
from filmgrain.networks import unet3d

pytestmark = pytest.mark.usefixtures("kernels")
# n, h, w, c, k: whole tiles and parts of them, few tiles and many, inputs in one piece and in several
SIZES = [(1, 4, 4, 16, 32), (3, 5, 7, 48, 64), (1, 1, 9, 272, 32), (5, 30, 27, 32, 96), (3, 40, 38, 144, 32)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch):
    """As on processors on which it is used: what it computes is the same on others."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


def made(n: int, h: int, w: int, c: int, k: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, h, w, c), torch.randn(k, c, 3, 3) / (3 * c**0.5), torch.randn(k)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_the_plain_path_within_rounding(size):
    given = made(*size)
    exact = winograd.plain(*(t.double() for t in given))
    assert (winograd.winograd(*given) - exact).abs().max() < 5e-6 * exact.abs().max()


@pytest.mark.parametrize("size", SIZES[1:4], ids=str)
def test_a_number_does_not_depend_on_threads_or_on_the_other_frames(size):
    x, weight, bias = made(*size)
    before, threads = winograd.winograd(x, weight, bias), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(winograd.winograd(x, weight, bias), before)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(winograd.winograd(x[:1], weight, bias), before[:1])


@pytest.mark.usefixtures("measured")
@torch.no_grad()
def test_it_is_compiled_into_one_graph(called):
    x, weight, bias = made(3, 40, 38, 144, 32)

    def f(x):
        return winograd.winograd(x, weight, bias) if winograd.usable(x, weight) else x

    y = torch.compile(f, backend="aot_eager", fullgraph=True)(x)
    assert called == ["winograd"] and torch.equal(y, f(x))


def test_memory_that_begins_anywhere_is_read():
    x, weight, bias = made(1, 5, 7, 16, 32)
    moved = torch.cat([torch.zeros(1), x.flatten()])[1:].view_as(x)
    assert torch.equal(winograd.winograd(moved, weight, bias), winograd.winograd(x, weight, bias))


def test_the_operator_keeps_its_promises_to_torch():
    torch.library.opcheck(winograd.winograd, made(1, 4, 4, 16, 32), test_utils=("test_schema", "test_faketensor"))


@pytest.mark.usefixtures("measured")
def test_it_is_for_inference_in_float32_where_there_are_tiles_enough():
    x, weight, _ = made(2, 16, 16, 32, 32)
    assert not winograd.usable(x, weight)  # gradients are wanted
    with torch.no_grad():
        assert winograd.usable(x, weight)
        assert not winograd.usable(x.bfloat16(), weight.bfloat16())
        assert not winograd.usable(x[:1, :8, :8], weight)
        assert not winograd.usable(x[..., :24], weight[:, :24])
        assert not winograd.usable(torch.zeros(200, 2, 2, 32), weight)  # tiles of 4x4 would be mostly empty
        with torch.autocast("cpu", torch.bfloat16):
            assert not winograd.usable(x, weight)


def test_a_mistake_is_one_line():
    x, weight, bias = made(1, 4, 4, 16, 32)
    with pytest.raises(ValueError, match=r"weight .* does not fit x"):
        winograd.winograd(x, weight[:, :8], bias)


@pytest.mark.usefixtures("measured")
def test_a_layer_is_the_same_with_and_without(plainly):
    torch.manual_seed(0)
    conv = Conv3(32, 64)
    x = torch.randn(2, 32, 16, 16).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        ours, plain = conv(x), plainly(conv, x)
        assert not torch.equal(ours, plain)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert (ours - plain).abs().max() < 5e-6 * plain.abs().max()
    assert torch.equal(conv(x).detach(), plain)  # with gradients it is PyTorch's own


@pytest.mark.usefixtures("measured")
def test_a_network_is_the_same_within_a_part_in_1e5(plainly):
    torch.manual_seed(0)
    network = unet3d.Network(unet3d.Config(width=32, mults=(1, 2), heads=2))
    nn.init.normal_(network.out.weight, std=0.1)
    z, logsnr, cond = torch.randn(1, 3, 2, 24, 24), torch.zeros(1), unet3d.Cond()
    with torch.no_grad():
        ours, plain = network(z, logsnr, cond), plainly(network, z, logsnr, cond)
    assert not torch.equal(ours, plain)
    assert (ours - plain).abs().max() < 1e-5 * plain.abs().max()
