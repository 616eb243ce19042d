"""One picture or video that is given to a model, as data of its shape: scaled and cropped as a dataset does it."""

from os import PathLike

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..files.clip import Clip
from ..files.video import read
from ..kernels import pixels
from .transforms import cover


def read_video(path: str | PathLike[str], shape: tuple[int, ...]) -> Float[Tensor, "c f h w"]:
    """All frames of a file in [-1, 1], for a model of this shape, (c, f, h, w) or (c, h, w): its channels and size."""
    return as_data(read_frames(path, shape)[1], shape[0])


def read_frames(path: str | PathLike[str], shape: tuple[int, ...]) -> tuple[Clip, np.ndarray]:
    """The file scaled to cover the last two of `shape`, and its frames uint8 (f, h, w, 3) cropped to them."""
    height, width = shape[-2:]
    clip = read(path, size=lambda h, w: cover(h, w, (height, width)))
    top, left = ((have - want) // 2 for have, want in zip(clip.frames.shape[1:3], (height, width), strict=True))
    return clip, clip.frames[:, top : top + height, left : left + width]


def as_data(frames: np.ndarray, channels: int) -> Float[Tensor, "c f h w"]:
    """uint8 (f, h, w, 3) in [-1, 1] with channels first; of another number than 3 the mean of red, green and blue."""
    x = pixels.as_data(torch.from_numpy(frames.copy()).permute(3, 0, 1, 2))
    return x if channels == 3 else x.mean(0, keepdim=True).expand(channels, *x.shape[1:]).contiguous()
