"""Measurements: what they take, and that their shapes are held."""

import pytest
import torch

from filmgrain.guidance.measurements import LUMA, Blur, Downsample, Frames, Grey, Mask

VIDEO, IMAGE = (2, 3, 5, 4, 6), (2, 3, 4, 6)


def test_frames():
    x0 = torch.randn(VIDEO)
    assert torch.equal(Frames((0, 3, -1))(x0), torch.stack([x0[:, :, 0], x0[:, :, 3], x0[:, :, 4]], dim=2))


@pytest.mark.parametrize("shape", [VIDEO, IMAGE, (2, 7)])
def test_a_mask_takes_its_values_of_every_sample(shape):
    x0, mask = torch.randn(shape), torch.rand(shape[1:]) < 0.5
    assert torch.equal(Mask(mask)(x0), torch.stack([sample[mask] for sample in x0]))


@pytest.mark.parametrize("shape", [VIDEO, IMAGE])
@pytest.mark.parametrize("factor", [1, 2])
def test_a_smaller_copy_is_of_means(shape, factor):
    x0 = torch.randn(shape)
    small = Downsample(factor)(x0)
    assert small.shape == (*shape[:-2], 4 // factor, 6 // factor)
    torch.testing.assert_close(small[..., 1, 2], x0[..., factor : 2 * factor, 2 * factor : 3 * factor].mean((-2, -1)))
    torch.testing.assert_close(small.mean(), x0.mean())


@pytest.mark.parametrize("shape", [VIDEO, IMAGE])
def test_grey_keeps_what_is_grey(shape):
    grey = torch.randn(shape)[:, :1]
    torch.testing.assert_close(Grey()(grey.expand(shape)), grey)
    primaries = torch.eye(3).reshape(1, 3, 3, 1)
    torch.testing.assert_close(Grey()(primaries).flatten(), torch.tensor(LUMA))


@pytest.mark.parametrize("shape", [VIDEO, IMAGE])
def test_a_blur_is_a_gaussian_mean(shape):
    torch.testing.assert_close(Blur(2.0)(torch.full(shape, 0.7)), torch.full(shape, 0.7))  # at the edges as well
    x0 = torch.randn(shape)
    torch.testing.assert_close(Blur(1e-2)(x0), x0)
    torch.testing.assert_close(Blur(1e4)(x0), x0.mean((-2, -1), keepdim=True).expand(shape), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_the_blur_of_a_dot_has_the_width_that_was_asked(sigma):
    dot = torch.zeros(1, 1, 41, 31, dtype=torch.float64)
    dot[..., 20, 15] = 1
    spread, rows = Blur(sigma)(dot)[0, 0], torch.arange(41, dtype=torch.float64) - 20
    torch.testing.assert_close(
        spread.sum(1) @ rows.square(), torch.tensor(sigma**2, dtype=torch.float64), rtol=0.01, atol=0
    )
    torch.testing.assert_close(spread, spread.flip(0, 1))


WRONG = {
    "frames of an image": (lambda: Frames((0,))(torch.zeros(IMAGE)), r"x0 \(2, 3, 4, 6\); expected \(b, c, f, h, w\)"),
    "a frame that is not there": (lambda: Frames((0, 5))(torch.zeros(VIDEO)), r"frames \(0, 5\) of x0"),
    "a mask of another size": (
        lambda: Mask(torch.ones(3, 4, 4).bool())(torch.zeros(IMAGE)),
        r"the mask is \(3, 4, 4\)",
    ),
    "a mask with a batch": (lambda: Mask(torch.ones(IMAGE).bool())(torch.zeros(IMAGE)), r"a sample of x0 \(3, 4, 6\)"),
    "a factor that leaves a rest": (lambda: Downsample(4)(torch.zeros(IMAGE)), "4x6 is not a multiple of factor=4"),
    "no factor": (lambda: Downsample(0), "factor=0"),
    "grey of one channel": (lambda: Grey()(torch.zeros(2, 1, 4, 4)), "has 1 channels"),
    "no blur": (lambda: Blur(0.0), "sigma=0.0"),
    "a blur of no number": (lambda: Blur(float("nan")), "sigma=nan"),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
