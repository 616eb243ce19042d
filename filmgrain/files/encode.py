"""Clips written as GIF and MP4 with the recipe that made them inside, and that recipe read back."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import containers, gif, mp4, pictures
from .clip import naming
from .kinds import PICTURES, kind
from .video import Unreadable

Recipe = dict[str, Any]


def write_gif(
    path: str | PathLike[str], frames: np.ndarray, fps: float, recipe: Recipe | None = None, *, scale: int = 1
) -> None:
    """`frames` uint8 (f, h, w, 3), each `scale` times as large, as an endless GIF; above 50 fps it plays at 50."""
    frames = _checked(frames, fps, scale)
    with _staged(path) as part:
        gif.write(part, frames, fps, recipe)


def write_mp4(
    path: str | PathLike[str], frames: np.ndarray, fps: float, recipe: Recipe | None = None, *, scale: int = 1
) -> None:
    """`frames` uint8 (f, h, w, 3), each `scale` times as large, as an MP4; odd sizes are made even."""
    frames = _checked(frames, fps, scale)
    with _staged(path) as part:
        mp4.write(part, frames, fps, recipe)


def read_recipe(path: str | PathLike[str]) -> Recipe | None:
    """The recipe inside a GIF, PNG or MP4; None if it holds none."""
    path = Path(path)
    with naming(path):
        name = kind(path)
        if name is None:
            raise Unreadable(path, "is not a known kind of picture or video")
        with path.open("rb") as file:
            if name in PICTURES:
                with pictures.opened(file, name) as image:
                    text = image.info.get("recipe") or image.info.get("comment")
            else:
                with containers.opened(file, name) as (container, _):
                    text = container.metadata.get("comment")
    try:
        recipe = json.loads(text or "null")
    except ValueError:
        return None
    return recipe if isinstance(recipe, dict) else None


def _checked(frames: np.ndarray, fps: float, scale: int) -> np.ndarray:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} of shape {frames.shape}; give uint8 (f, h, w, 3)")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps} is not a frame rate; use a number above 0")
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


@contextmanager
def _staged(path: str | PathLike[str]) -> Iterator[Path]:
    """A neighbour of `path` that takes its place when it is complete."""
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
