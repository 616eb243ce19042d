"""The scale and shift behind a norm: its gamma and a modulation in one."""

import torch
from torch import Tensor


def affine(gamma: Tensor, modulation: Tensor | None) -> tuple[Tensor, Tensor]:
    """(1 + scale) gamma . + shift as one scale and shift (m, c) in float32.

    modulation: (m, 2c), scales then shifts; None: neither, and m is 1.
    """
    gamma = gamma.float()[None]
    if modulation is None:
        return gamma, torch.zeros_like(gamma)
    scale, shift = modulation.float().chunk(2, dim=1)
    return gamma * (1 + scale), shift


def check(x: Tensor, scale: Tensor, shift: Tensor) -> None:
    """Raises ValueError unless scale and shift are (m, c) in float32, and m divides the n of features (n, ..., c)."""
    fit = scale.shape == shift.shape == (len(scale), x.shape[-1]) and len(x) % len(scale) == 0
    if not fit or scale.dtype != torch.float32 or shift.dtype != torch.float32:
        given = f"scale {tuple(scale.shape)} in {scale.dtype} and shift {tuple(shift.shape)} in {shift.dtype}"
        raise ValueError(f"{given} do not fit features {tuple(x.shape)}; pass (m, c) in float32, m a divisor of n")
