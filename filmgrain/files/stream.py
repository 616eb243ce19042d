"""A GIF or MP4 written while its frames are still being made: what is held is the part that is being added."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from .encode import enlarged, staged

ENDINGS = (".gif", ".mp4")


@contextmanager
def streaming(
    path: str | PathLike[str], fps: float, recipe: dict[str, Any] | None = None
) -> Iterator[Callable[[np.ndarray], None]]:
    """add(frames uint8 (f, h, w, 3)), as often as there are more. The file is there when all have been.

    A GIF keeps the palette of its first part for as long as that shows no difference.
    """
    from . import gif, mp4

    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f'{path} ends in "{path.suffix}"; a video is written as .gif or .mp4')
    with staged(path) as part, (gif if path.suffix.lower() == ".gif" else mp4).writing(part, fps, recipe) as write:

        def add(frames: np.ndarray) -> None:
            write(enlarged(frames, fps, 1))

        yield add


@contextmanager
def reversing(add: Callable[[np.ndarray], None]) -> Iterator[Callable[[np.ndarray], None]]:
    """Parts that come from the last to the first, kept in a temporary file and added in their right order."""
    with TemporaryFile() as kept:
        shapes: list[tuple[int, ...]] = []

        def keep(frames: np.ndarray) -> None:
            kept.write(frames.tobytes())
            shapes.append(frames.shape)

        yield keep
        end = kept.tell()
        for shape in reversed(shapes):
            end -= (size := int(np.prod(shape)))
            kept.seek(end)
            add(np.frombuffer(kept.read(size), np.uint8).reshape(shape))
