"""Reading moving shapes back from pixels: what does a sampled clip really show?

In each frame the one shape is found by its colour against the background; its kind is the one whose drawing, at the
place and size measured, overlaps it best. A clip is *kept* when every frame shows the same kind in the same colour,
cleanly, and the shape moves without a jump. Real clips pass (99 % and more, by test), flickering ones fail.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..data.moving_shapes import BACKGROUND, COLOURS, KINDS, coverage

OVERLAP = 0.75  # intersection over union from which a drawing counts as the kind
CROWDED = 0.6  # of the frame covered: no shape is as large
NEAR = 60.0  # distance in RGB up to which a colour counts as the named one
JUMP = 0.12  # of the picture's height, the farthest that a shape may go in one frame


@dataclass(frozen=True)
class Frame:
    """What one frame shows; kind and colour are None where they cannot be told."""

    kind: str | None
    colour: str | None
    overlap: float  # of the best drawing, in [0, 1]
    position: tuple[float, float]  # (x, y) in pixels
    area: float = 0.0  # pixels covered; 0: nothing is there


@dataclass(frozen=True)
class Reading:
    """What a clip shows."""

    frames: tuple[Frame, ...]
    height: int

    @property
    def kind(self) -> str | None:
        return _common([frame.kind for frame in self.frames])

    @property
    def colour(self) -> str | None:
        return _common([frame.colour for frame in self.frames])

    @property
    def keeps_kind(self) -> bool:
        return all(frame.kind is not None and frame.kind == self.kind for frame in self.frames)

    @property
    def keeps_colour(self) -> bool:
        return all(frame.colour is not None and frame.colour == self.colour for frame in self.frames)

    @property
    def moves_smoothly(self) -> bool:
        steps = np.diff(np.array([frame.position for frame in self.frames]), axis=0)
        return bool((np.hypot(steps[:, 0], steps[:, 1]) <= max(1.5, JUMP * self.height)).all()) if len(steps) else True

    @property
    def kept(self) -> bool:
        return self.keeps_kind and self.keeps_colour and self.moves_smoothly


def read(clip: np.ndarray, kinds: tuple[str, ...] = tuple(KINDS), colours: tuple[str, ...] = tuple(COLOURS)) -> Reading:
    """The reading of a clip of one shape, bytes (f, h, w, 3)."""
    return Reading(tuple(read_frame(frame, kinds, colours) for frame in clip), clip.shape[1])


def read_frame(frame: np.ndarray, kinds: tuple[str, ...], colours: tuple[str, ...]) -> Frame:
    pixels, background = frame.astype(np.float32), np.array(BACKGROUND, np.float32)
    distance = np.linalg.norm(pixels - background, axis=-1)
    strength = np.quantile(distance, 0.99)
    if strength < NEAR:  # nothing there
        return Frame(None, None, 0.0, (0.0, 0.0))
    core = distance > 0.8 * strength
    colour = np.median(pixels[core], axis=0)
    cover = np.clip((pixels - background) @ (colour - background) / np.sum((colour - background) ** 2), 0, 1)
    cover[cover < 0.15] = 0  # noise of the background
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]] + 0.5
    area = cover.sum()
    position = np.array([(x * cover).sum() / area, (y * cover).sum() / area])
    overlap, kind = max((_overlap(cover, kind, position, area), kind) for kind in kinds)
    named, off = min(((name, np.linalg.norm(colour - COLOURS[name])) for name in colours), key=lambda pair: pair[1])
    return Frame(
        kind if overlap >= OVERLAP and cover.mean() < CROWDED else None,
        named if off <= NEAR else None,
        float(overlap),
        (float(position[0]), float(position[1])),
        float(area),
    )


def summary(readings: list[Reading]) -> dict[str, float]:
    """The share of clips that keep their kind, their colour, move smoothly, and all of it; and how varied they are."""
    return {
        "kept": float(np.mean([r.kept for r in readings])),
        "keeps_kind": float(np.mean([r.keeps_kind for r in readings])),
        "keeps_colour": float(np.mean([r.keeps_colour for r in readings])),
        "moves_smoothly": float(np.mean([r.moves_smoothly for r in readings])),
        "different": float(len({(r.kind, r.colour) for r in readings if r.kept})),
    }


def _overlap(cover: np.ndarray, kind: str, position: np.ndarray, area: float) -> float:
    """Intersection over union of what is seen with a drawing of `kind` at the same place, of the same area."""
    drawing = coverage(kind, float(np.sqrt(area / AREAS[kind])), position[None], *cover.shape)[0]
    return float(np.minimum(cover, drawing).sum() / np.maximum(cover, drawing).sum())


def _common(names: list[str | None]) -> str | None:
    return Counter(names).most_common(1)[0][0]


# The area of each kind of radius 1, from a drawing of radius 100.
AREAS = {kind: float(coverage(kind, 100.0, np.array([[150.0, 150.0]]), 300, 300).sum()) / 1e4 for kind in KINDS}
