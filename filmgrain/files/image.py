"""One still: read from any picture, written as PNG."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .pictures import RGB
from .video import BUDGET, Budget, Size, read


def read_image(
    path: str | PathLike[str],
    *,
    background: RGB = (255, 255, 255),
    size: Size | None = None,
    budget: Budget = BUDGET,
) -> np.ndarray:
    """A picture as uint8 (h, w, 3); of an animation or video, its first frame."""
    return read(path, background=background, size=size, budget=budget).frames[0]


def write_png(path: str | PathLike[str], frame: np.ndarray, recipe: dict[str, Any] | None = None) -> None:
    """`frame` uint8 (h, w, 3), with `recipe` as JSON in its text chunk "recipe"."""
    text = PngInfo()
    if recipe is not None:
        text.add_text("recipe", json.dumps(recipe))
    Image.fromarray(frame).save(Path(path), "PNG", pnginfo=text)
