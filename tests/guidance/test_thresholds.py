"""Static and dynamic thresholding."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.guidance.dynamic_threshold import DynamicThreshold, quantile
from filmgrain.guidance.static_threshold import StaticThreshold


def thresholded(x0, **options):
    return DynamicThreshold(lambda z, logsnr, cond: x0, **options)(x0, torch.zeros(len(x0)), Cond())


def test_it_is_imagens_rule_sample_by_sample():
    x0 = 3 * torch.randn(4, 3, 5, 6, dtype=torch.float64)
    for i, expected in enumerate(thresholded(x0)):
        s = max(1.0, torch.quantile(x0[i].abs(), 0.995).item())
        torch.testing.assert_close(expected, x0[i].clamp(-s, s) / s)
    torch.testing.assert_close(thresholded(x0)[:1], thresholded(x0[:1]))


def test_the_quantile_is_0_995():
    """Mistake 22: at 0.9 a tenth of the pixels is saturated, and a picture of ordinary contrast is pushed apart."""
    x0 = torch.linspace(-2, 2, 20_001, dtype=torch.float64)[None]
    assert thresholded(x0).abs().eq(1).double().mean().item() == pytest.approx(0.005, abs=1e-4)
    assert thresholded(x0, p=0.9).abs().eq(1).double().mean().item() == pytest.approx(0.1, abs=1e-4)


def test_what_is_in_range_is_left_alone():
    """s is never below 1: a faint picture is not stretched."""
    x0 = 0.2 * torch.randn(2, 3, 4, 4).clamp(-1, 1)
    assert torch.equal(thresholded(x0), x0)


def test_all_values_are_in_range_afterwards():
    assert thresholded(50 * torch.randn(3, 2, 4, 5, 6)).abs().max() <= 1
    assert thresholded(50 * torch.randn(3, 2, 4, 5, 6), p=1.0).abs().flatten(1).max(1).values.eq(1).all()


@pytest.mark.parametrize("p", [0.0, 0.5, 0.995, 1.0])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_the_quantile_is_torchs(n, p):
    rows = torch.randn(3, n, dtype=torch.float64)
    torch.testing.assert_close(quantile(rows, p), rows.quantile(p, dim=1))


def test_a_large_video_has_a_quantile():
    """torch.quantile refuses more than 2^24 values a row: 3 x 64 frames of 300 x 300."""
    row = torch.zeros(1, 2**24 + 1, dtype=torch.float16)
    with pytest.raises(RuntimeError, match="too large"):
        row.float().quantile(0.995, dim=1)
    row[0, : int(0.006 * row.numel())] = 2
    assert quantile(row, 0.995) == 2 and quantile(row, 0.993) == 0


@pytest.mark.parametrize("p", [0.0, 1.5, -1.0, float("nan")])
def test_p_is_a_quantile(p):
    with pytest.raises(ValueError, match=f"p={p}") as caught:
        thresholded(torch.zeros(1, 1), p=p)
    assert "\n" not in str(caught.value)


def test_a_static_threshold_clips():
    x0 = torch.tensor([[-3.0, -0.5, 0.5, 3.0]])
    given = x0, torch.zeros(1), Cond()
    assert StaticThreshold(lambda z, logsnr, cond: z)(*given).tolist() == [[-1, -0.5, 0.5, 1]]
    assert StaticThreshold(lambda z, logsnr, cond: z, limit=2.0)(*given).tolist() == [[-2, -0.5, 0.5, 2]]
