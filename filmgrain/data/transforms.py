"""Scaling, cropping and flipping: what is drawn is drawn once a clip and is the same for all its frames."""

import random
from collections.abc import Sequence

import numpy as np

CROPS = ("centre", "random")


def check(height: int, width: int, crop: str, background: tuple[int, int, int]) -> None:
    """Raises ValueError for what no picture can be scaled, cropped or composed to."""
    if min(height, width) < 1:
        raise ValueError(f"height={height} and width={width} must be at least 1 pixel")
    if crop not in CROPS:
        raise ValueError(f'crop="{crop}" is unknown; use one of {", ".join(CROPS)}')
    if not all(0 <= value <= 255 for value in background):
        raise ValueError(f"background={list(background)} is no colour; use three numbers of 0 to 255")


def cover(height: int, width: int, target: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of the same aspect, to a rounding, that covers the target (height, width)."""
    scale = max(target[0] / height, target[1] / width)
    return max(target[0], round(height * scale)), max(target[1], round(width * scale))


def view(
    clip: np.ndarray,
    frames: Sequence[int] | np.ndarray,
    target: tuple[int, int],
    *,
    crop: str,
    flip: bool,
    rng: random.Random,
) -> np.ndarray:
    """uint8 (f h w c), the numbers of frames, and the size to crop to -> a contiguous copy uint8 (c f h w)."""
    spare = clip.shape[1] - target[0], clip.shape[2] - target[1]
    top, left = (rng.randint(0, n) if crop == "random" else n // 2 for n in spare)
    x = clip[frames, top : top + target[0], left : left + target[1]].transpose(3, 0, 1, 2)
    if flip and rng.random() < 0.5:
        x = x[..., ::-1]
    return np.ascontiguousarray(x)
