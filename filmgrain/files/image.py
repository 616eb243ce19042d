"""One still: read from any picture or video, written as PNG."""

import json
from os import PathLike
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .encode import staged
from .pictures import RGB
from .video import BUDGET, Budget, Size, read


def read_image(
    path: str | PathLike[str],
    *,
    background: RGB = (255, 255, 255),
    size: Size | None = None,
    budget: Budget = BUDGET,
) -> np.ndarray:
    """A picture as uint8 (h, w, 3); of an animation, video or folder, its first frame. Raises `Unreadable`."""
    return read(path, background=background, size=size, budget=budget, most=1).frames[0]


def write_png(path: str | PathLike[str], frame: np.ndarray, recipe: dict[str, Any] | None = None) -> None:
    """`frame` uint8 (h, w, 3), with `recipe` as JSON in its text chunk "recipe"."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or 0 in frame.shape:
        raise ValueError(f"frame is {frame.dtype} of shape {frame.shape}; give uint8 (h, w, 3), none of them 0")
    text = PngInfo()
    if recipe is not None:
        text.add_text("recipe", json.dumps(recipe))
    with staged(path) as part:
        Image.fromarray(frame).save(part, "PNG", pnginfo=text)
