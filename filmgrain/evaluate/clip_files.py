"""Clips of a folder, as other programs or `filmgrain sample` left them there, to be measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..data import NoData
from ..data.listing import look, nothing
from ..files.video import read
from .pictures import Pictures, parts

LEFT_OUT = ("sheet", "strip")  # of what `filmgrain sample` writes


def clips_in(folder: Path) -> list[Path]:
    """Its videos by name; what lies there as GIF and as MP4 once, as GIF, whose colours are nearer to the samples'.

    Raises NoData where there are none.
    """
    listing = look(folder)
    found: dict[Path, Path] = {}
    for path in listing.videos:
        if path.stem not in LEFT_OUT and (path.suffix.lower() == ".gif" or path.with_suffix("") not in found):
            found[path.with_suffix("")] = path
    if not found:
        raise nothing(listing, "video")
    return list(found.values())


def of_folder(paths: Sequence[Path], shape: tuple[int, int, int]) -> Pictures:
    """Their bytes (b, 3, f, h, w). Raises NoData for a clip of other (frames, height, width)."""
    for part in parts(len(paths)):
        yield torch.stack([torch.tensor(_read(path, shape)).permute(3, 0, 1, 2) for path in paths[part]])


def _read(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    frames = read(path).frames
    if frames.shape[:3] != shape:
        given, expected = ("{} frames of {}x{}".format(*each) for each in (frames.shape[:3], shape))
        more = f"; --frames {len(frames)} measures clips of that length" * (frames.shape[1:3] == shape[1:])
        raise NoData(f"{path} has {given}, but the run's data {expected}; give samples as they were made{more}")
    return frames
