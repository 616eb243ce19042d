"""Clips written as GIF and MP4 with the recipe that made them inside, and that recipe read back.

What needs PyAV is imported with the first MP4: it takes as long to start as all else of the package.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import gif, pictures
from .clip import naming
from .kinds import PICTURES, kind

Recipe = dict[str, Any]  # of what JSON can hold


def write_gif(
    path: str | PathLike[str], frames: np.ndarray, fps: float, recipe: Recipe | None = None, *, scale: int = 1
) -> None:
    """`frames` uint8 (f, h, w, 3), each pixel `scale` pixels wide, as an endless GIF; above 50 fps it plays at 50."""
    frames = enlarged(frames, fps, scale)
    with staged(path) as part:
        gif.write(part, frames, fps, recipe)


def write_mp4(
    path: str | PathLike[str], frames: np.ndarray, fps: float, recipe: Recipe | None = None, *, scale: int = 1
) -> None:
    """`frames` uint8 (f, h, w, 3), each pixel `scale` pixels wide, as an MP4; odd sizes are made even.

    Half of the colour's resolution is lost (yuv420p): at a scale of 2 or more nothing is.
    """
    from . import mp4

    frames = enlarged(frames, fps, scale)
    with staged(path) as part:
        mp4.write(part, frames, fps, recipe)


def read_recipe(path: str | PathLike[str]) -> Recipe | None:
    """The recipe inside a GIF, PNG or MP4; None if it holds none. Raises `Unreadable`."""
    path = Path(path)
    with naming(path):
        name = kind(path)
        if name is None:
            raise ValueError("is not a known kind of picture or video")
        with path.open("rb") as file:
            if name in PICTURES:
                with pictures.opened(file, name) as image:
                    text = image.info.get("recipe") or image.info.get("comment")
            else:
                from . import containers

                with containers.opened(file, name) as (container, _):
                    text = container.metadata.get("comment")
    try:
        recipe = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None  # a comment of someone else's
    return recipe if isinstance(recipe, dict) else None


def enlarged(frames: np.ndarray, fps: float, scale: int) -> np.ndarray:
    """`frames` with each pixel repeated `scale` times, after a look at what was given."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} of shape {frames.shape}; give uint8 (f, h, w, 3), none of them 0")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps} is not a frame rate; give a number above 0")
    if scale < 1:
        raise ValueError(f"scale={scale} is not a factor; give 1 or more")
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


@contextmanager
def staged(path: str | PathLike[str]) -> Iterator[Path]:
    """A neighbour of `path` that takes its place once it is complete, so that nobody sees half a file."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
