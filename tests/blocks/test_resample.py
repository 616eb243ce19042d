"""Sizes: halves, doubles, and padding that can be undone."""

import pytest
import torch

from filmgrain.blocks.resample import Double, Half, down, pad_to, up


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 8), (9, 15), (8, 16)])
def test_padding_reaches_multiples_by_repeating_edges_and_is_undone(height, width):
    x = torch.randn(2, 3, height, width)
    padded, inside = pad_to(x, 8)
    assert all(size % 8 == 0 and size < old + 8 for size, old in zip(padded.shape[-2:], (height, width), strict=True))
    assert torch.equal(padded[..., inside[0], inside[1]], x)
    assert torch.equal(padded[..., 0, 0], x[..., 0, 0]) and torch.equal(padded[..., -1, -1], x[..., -1, -1])


def test_sizes_that_divide_are_not_copied():
    x = torch.randn(1, 1, 8, 16)
    assert pad_to(x, 8)[0] is x


def test_up_undoes_the_size_of_down():
    x = torch.randn(1, 4, 6, 10)
    half = down(4)(x)
    assert half.shape == (1, 4, 3, 5) and up(4)(half).shape == x.shape


def test_double_undoes_the_size_of_half():
    half = Half(4)(x := torch.randn(1, 4, 6, 10))
    assert half.shape == (1, 4, 3, 5) and Double(4)(half).shape == x.shape


@pytest.mark.parametrize(("corner", "first"), [(False, 0), (True, 1)])
def test_half_keeps_every_second_pixel_from_the_first_or_of_a_corner_the_second(corner, first):
    half, x = Half(2, corner), torch.randn(1, 2, 6, 8)
    torch.nn.init.dirac_(half.conv.weight)
    torch.nn.init.zeros_(half.conv.bias)
    assert torch.equal(half(x), x[..., first::2, first::2])


def test_double_sees_every_pixel_four_times():
    double, x = Double(2), torch.randn(1, 2, 3, 4)
    torch.nn.init.dirac_(double.conv.weight)
    torch.nn.init.zeros_(double.conv.bias)
    assert torch.equal(double(x), x.repeat_interleave(2, -1).repeat_interleave(2, -2))
