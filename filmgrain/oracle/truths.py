"""The data of the bench."""

import math

import torch

from ..analytic.gaussian import Gaussian
from ..analytic.mixture import Mixture


def blobs() -> Mixture:
    """Eight blobs on a ring, in two dimensions, each heavier and wider than the last; around 1 from the middle."""
    k = torch.arange(8, dtype=torch.float64)
    angle = 2 * math.pi * k / 8
    ring = torch.stack([angle.cos(), angle.sin()], 1) * 1.3 + 0.2
    return Mixture(weights=k + 1, means=ring, stds=torch.linspace(0.1, 0.4, 8, dtype=torch.float64))


def video() -> Gaussian:
    """16 frames of one pixel, each 0.95 of the last and the rest new."""
    return Gaussian.ar1(16, 0.95)
