"""Scaling, cropping and flipping: what is drawn is drawn once a clip and is the same for all its frames."""

import random
from typing import Protocol

import numpy as np
from PIL import Image

CROPS = ("centre", "random")
FITS = ("pad", "scale")


class Framed(Protocol):
    """What a format's Config says of cropping and flipping."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def crop(self) -> str: ...

    @property
    def flip(self) -> bool: ...


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


def view(clip: np.ndarray, frames: range | np.ndarray, config: Framed, rng: random.Random) -> np.ndarray:
    """uint8 (c f h w) and the numbers of frames -> a contiguous uint8 (c f h w) of the size that config says."""
    target = config.height, config.width
    spare = clip.shape[2] - target[0], clip.shape[3] - target[1]
    top, left = (rng.randint(0, n) if config.crop == "random" else n // 2 for n in spare)
    # Of a slice NumPy makes no copy, and none is made at all where a whole clip is taken.
    chosen = slice(frames.start, frames.stop, frames.step) if isinstance(frames, range) else frames
    x = clip[:, chosen, top : top + target[0], left : left + target[1]]
    return flipped(x, config.flip, rng)


def flipped(x: np.ndarray, flip: bool, rng: random.Random) -> np.ndarray:
    """(... w), left and right exchanged in half of the draws if `flip`, as a contiguous array."""
    if flip and rng.random() < 0.5:
        x = x[..., ::-1]
    return np.ascontiguousarray(x)


def fitted(picture: np.ndarray, target: tuple[int, int], fit: str) -> np.ndarray:
    """uint8 (h w c) -> (target c): in the middle of a black one ("pad"), or scaled to cover it and cropped ("scale").

    What is to be padded must not be larger than its target.
    """
    if picture.shape[:2] == target:
        return picture
    if fit == "scale":
        height, width = cover(picture.shape[0], picture.shape[1], target)
        flat = picture[..., 0] if picture.shape[2] == 1 else picture  # Pillow wants grey as (h, w)
        picture = np.asarray(Image.fromarray(flat).resize((width, height), Image.Resampling.BICUBIC))
        top, left = (height - target[0]) // 2, (width - target[1]) // 2
        return picture[top : top + target[0], left : left + target[1]].reshape(*target, -1)
    top, left = (target[0] - picture.shape[0]) // 2, (target[1] - picture.shape[1]) // 2
    framed = np.zeros((*target, picture.shape[2]), np.uint8)
    framed[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return framed
