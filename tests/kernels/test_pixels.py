"""Bytes as training takes them: the kernel against plain PyTorch, bit for bit."""

import pytest
import torch

from filmgrain.kernels import pixels


def every_byte(count: int) -> torch.Tensor:
    return torch.arange(256, dtype=torch.uint8).repeat(count)


def test_the_ends_are_exact_and_the_rest_is_even():
    x = pixels.plain(every_byte(1))
    assert x[0] == -1 and x[255] == 1
    assert torch.equal(x, -x.flip(0))
    assert torch.allclose(x.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), rtol=0, atol=1e-7)


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("kernels", "three_threads")
@pytest.mark.parametrize("count", [256, 257, 1000])
def test_the_kernel_gives_the_same_bits(count, called):
    x = torch.cat([every_byte(count), every_byte(1)[:7]])
    assert torch.equal(pixels.as_data(x), pixels.plain(x))
    assert called == ["pixels"]


@pytest.mark.usefixtures("kernels")
def test_defaults_of_torch_do_not_matter():
    x = every_byte(256)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            made = pixels.as_data(x)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(made, pixels.plain(x))


@pytest.mark.usefixtures("kernels")
def test_what_it_cannot_take_goes_the_plain_way():
    x = every_byte(512).view(2, -1)
    assert torch.equal(pixels.as_data(x[:, ::2]), pixels.plain(x[:, ::2]))
    assert torch.equal(pixels.as_data(x[:0]), torch.empty(0, x.shape[1]))
    for other in (x.float(), x.short()):
        assert torch.equal(pixels.as_data(other), pixels.plain(x))
