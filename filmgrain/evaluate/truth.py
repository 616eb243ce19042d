"""What clips of one moving shape show, held against what was said of them: exact, since the data's laws are known.

A clip is read frame by frame (shapes.py) and its way fitted (paths.py). With a caption, such as "a red circle moving
left", it is right in kind, in colour, in motion, or not. Without one there is still what every clip should do: keep one
shape from the first frame to the last, and move as some shape of the data might.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..data.moving_shapes import COLOURS, KINDS, MOTIONS, REACH
from .intervals import Number, measured
from .paths import LEGAL, fits
from .shapes import AREAS, Reading, read

NAMES = {"kind": tuple(KINDS), "colour": tuple(COLOURS), "motion": MOTIONS}
LOST = 1.0  # heights, the distance of a way that cannot be followed
FEWEST = 3  # frames in which something is seen, from which a way can be fitted


@dataclass(frozen=True)
class Shown:
    """What one clip shows; None where it cannot be told."""

    kind: str | None
    colour: str | None
    motion: str | None  # of the likeliest legal way, if the clip's is no farther from it than paths.LEGAL
    kept: bool  # one kind and one colour in every frame, and no jump
    distance: float  # of its way to the nearest legal one: root mean square in heights of the picture


def shown(clip: UInt8[np.ndarray, "f h w 3"]) -> Shown:
    reading = read(clip)
    motion, distance = _way(reading, clip.shape[1], clip.shape[2])
    return Shown(reading.kind, reading.colour, motion, reading.kept, distance)


def _way(reading: Reading, height: int, width: int) -> tuple[str | None, float]:
    times = np.array([i for i, frame in enumerate(reading.frames) if frame.area])
    if len(times) < FEWEST:
        return None, LOST
    seen = [reading.frames[i] for i in times]
    # The walls are as far from the border as the shape reaches: its size, and by it the box, is read from its area.
    radius = np.sqrt(np.median([frame.area for frame in seen]) / AREAS[reading.kind or "circle"])
    room = np.array([width, height]) - 2 * REACH * radius
    if room.min() <= 0:  # no shape is as large
        return None, LOST
    way = np.array([frame.position for frame in seen]) - REACH * radius
    best = fits(way, times, room, min(height, width), height)
    distance = min(LOST, *(fit.distance for fit in best))
    return best[0].motion if best[0].distance <= LEGAL else None, distance


def said(caption: str) -> dict[str, str]:
    """The kind, colour and motion that a caption names. Raises ValueError for one that names none or several of one."""
    words, found = re.findall(r"[a-z]+", caption.lower()), {}
    for attribute, names in NAMES.items():
        named = [word for word in words if word in names]
        if len(named) != 1:
            given = " and ".join(named) or f"no {attribute}"
            raise ValueError(f'"{caption}" names {given}; what it asks for is known if it names one of each')
        found[attribute] = named[0]
    return found


def rows(clips: UInt8[Tensor, "b 3 f h w"]) -> Float[Tensor, "b 5"]:
    """Of each clip its kind, colour and motion, by their place in NAMES or -1; whether it is kept; and its distance."""
    table = []
    for clip in clips:
        found = shown(clip.permute(1, 2, 3, 0).numpy())
        table.append([*_places(vars(found)), found.kept, found.distance])
    return torch.tensor(table, dtype=torch.float64)


def windows(clips: UInt8[Tensor, "b 3 f h w"], length: int, every: int) -> Float[Tensor, "b w 5"]:
    """The same of windows of `length` frames, one every so many: does a clip go on in the way in which it came?

    One turn that is no legal way's puts the whole of a long clip off its way; of its windows, those that hold the turn.
    """
    if not 0 < length <= clips.shape[2]:
        raise ValueError(f"windows of {length} frames of clips of {clips.shape[2]}; use 1 to {clips.shape[2]}")
    starts = range(0, clips.shape[2] - length + 1, every)
    return torch.stack([rows(clips[:, :, start : start + length]) for start in starts], dim=1)


def measure(
    table: Float[Tensor, "n *w 5"], captions: Sequence[str] | None = None, *, halves: int, seed: int
) -> dict[str, Number]:
    """Shares of the clips, and off[way] in heights, with their intervals.

    right[...], if there are captions: kind, colour, motion and all three are as the caption says. kept[shape]: one kind
    and colour in every frame, and no jump. legal[way]: a way that some shape of the data might go. off[way]: the mean
    distance from the nearest of those. A clip of several windows counts by their mean. Raises ValueError for a caption
    that does not say all three.
    """
    table = table if table.ndim == 3 else table[:, None]
    columns = {"kept[shape]": table[..., 3], "legal[way]": (table[..., 2] >= 0).double(), "off[way]": table[..., 4]}
    if captions is not None:
        asked = torch.tensor([_places(said(caption)) for caption in captions], dtype=torch.float64)
        right = table[..., :3] == asked[:, None]
        columns = {f"right[{name}]": right[..., i].double() for i, name in enumerate(NAMES)} | columns
        columns = {"right[caption]": right.all(-1).double()} | columns

    def means(samples: Tensor, _: Tensor) -> dict[str, float]:
        return dict(zip(columns, samples.mean(0).tolist(), strict=True))

    whole = torch.stack([column.mean(1) for column in columns.values()], dim=1)
    numbers = measured(means, whole, whole, halves=halves, seed=seed)
    return {name: Number(number.value, number.halves, 0, 1) for name, number in numbers.items()}


def _places(attributes: Mapping[str, Any]) -> list[int]:
    return [names.index(attributes[name]) if attributes[name] in names else -1 for name, names in NAMES.items()]
