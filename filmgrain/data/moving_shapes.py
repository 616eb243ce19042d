"""Moving shapes: procedural clips of coloured shapes, with a caption and the exact truth of each.

Any size and length, nothing to download, and every clip a function of (seed, index). What a model samples can be held
against the truth: does a shape keep its kind and colour, does it move as the caption says (evaluate/shapes.py)?
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

COLOURS = {
    "red": (230, 50, 50),
    "green": (50, 190, 80),
    "blue": (60, 110, 240),
    "yellow": (245, 210, 50),
    "magenta": (215, 70, 205),
    "cyan": (60, 205, 215),
    "orange": (245, 140, 40),
    "white": (240, 240, 240),
}
BACKGROUND = (24, 24, 32)
MOTIONS = ("left", "right", "up", "down", "bouncing", "circling")
SPEED = (0.015, 0.035)  # a frame, in heights of the picture
QUICKER = 1.5  # times that, of shapes that bounce or circle
ORBIT = (0.25, 0.45)  # radius of a circling shape's way, in the shorter side of where its centre may be
REACH = 1.25  # radii from the centre to the farthest corner of any kind
LARGEST = 0.39  # radius in sides of the picture; a corner of it would leave the picture


def polygon(*corners: tuple[float, float]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The signed distance to a closed polygon, negative inside, in the units of its corners."""
    points = np.array(corners, dtype=np.float32)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        square, inside = np.full(x.shape, np.inf, np.float32), np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
            ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            square = np.minimum(square, (px - along * ex) ** 2 + (py - along * ey) ** 2)
            crosses = (ay > y) != (by > y)  # even-odd rule; an edge that does not cross cannot divide by zero below
            inside ^= crosses & (x < ex * py / np.where(crosses, ey, 1) + ax)
        return np.where(inside, -1, 1) * np.sqrt(square)

    return distance


def _ring(count: int, radii: tuple[float, ...]) -> list[tuple[float, float]]:
    """`count` corners around the centre, their radii taken in turn, the first one at the top."""
    turns = [2 * math.pi * i / count for i in range(count)]
    return [(radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(turns)]


_ARM = 0.34
_CROSS = [(_ARM, -1.0), (_ARM, -_ARM), (1.0, -_ARM), (1.0, _ARM), (_ARM, _ARM), (_ARM, 1.0)]
# Signed distances in units of the radius, every shape with its centroid at the origin.
KINDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: np.hypot(x, y) - 1,
    "square": polygon((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    "triangle": polygon(*_ring(3, (REACH,))),
    "cross": polygon(*_CROSS, *[(-x, -y) for x, y in _CROSS]),
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.78) - 0.27,
    "star": polygon(*_ring(10, (REACH, 0.52))),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A world of moving shapes."""

    frames: int = 16  # of a clip
    height: int = 64  # pixels
    width: int = 64  # pixels
    shapes: int = 1  # in a clip
    kinds: tuple[str, ...] = tuple(KINDS)  # of shape that occur
    colours: tuple[str, ...] = tuple(COLOURS)  # that occur
    motions: tuple[str, ...] = MOTIONS  # that occur; of these, one named twice occurs twice as often
    radius: tuple[float, float] = (0.19, 0.27)  # of the smallest and the largest shape, in sides of the picture
    clips: int = 20_000  # an epoch; a tenth as many are held out
    seed: int = 0  # of the world; another seed holds other clips
    fps: float = 8.0  # at which clips are shown

    def __post_init__(self) -> None:
        for name in ("frames", "shapes", "clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")
        if self.fps <= 0:
            raise ValueError(f"fps={self.fps} is not a frame rate; use a number above 0")
        if min(self.height, self.width) < 8:
            raise ValueError(f"{self.height}x{self.width} is too small to show a shape; use 8x8 or more")
        if len(self.radius) != 2 or not 0 < self.radius[0] <= self.radius[1] <= LARGEST:
            raise ValueError(f"radius={self.radius} is no range within 0 to {LARGEST}, where a shape still fits")
        for name, known in (("kinds", KINDS), ("colours", COLOURS), ("motions", MOTIONS)):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; use one or more of {', '.join(known)}")
            if unknown := set(getattr(self, name)) - set(known):
                raise ValueError(f'{name} holds "{sorted(unknown)[0]}", which is not one of {", ".join(known)}')

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.frames, self.height, self.width


@dataclass(frozen=True)
class Shape:
    """The truth about one shape. Positions and velocities are (f, 2) arrays of (x, y) in pixels and pixels a frame."""

    kind: str
    colour: str
    motion: str
    radius: float
    position: np.ndarray

    @property
    def velocity(self) -> np.ndarray:
        return np.gradient(self.position, axis=0) if len(self.position) > 1 else np.zeros_like(self.position)

    @property
    def caption(self) -> str:
        how = f"moving {self.motion}" if self.motion in ("left", "right", "up", "down") else self.motion
        article = "an" if self.colour[0] in "aeiou" else "a"
        return f"{article} {self.colour} {self.kind} {how}"


class Dataset:
    """Clip i of a split is a function of (config.seed, split, i); the draw's own randomness is not needed."""

    def __init__(self, config: Config, split: str = "train"):
        self.config, self.split = config, split
        self.classes = list(config.kinds)  # of the first shape

    def __len__(self) -> int:
        return self.config.clips if self.split == "train" else max(1, self.config.clips // 10)

    def item(self, index: int, rng: random.Random | None = None) -> dict:
        own = random.Random(f"{self.config.seed}:{self.split}:{index}")
        shapes = [draw_shape(self.config, own) for _ in range(self.config.shapes)]
        return {
            "x": render(shapes, self.config.height, self.config.width).transpose(3, 0, 1, 2),
            "source": f"moving_shapes:{self.config.seed}:{self.split}:{index}",
            "caption": " and ".join(shape.caption for shape in shapes),
            "label": self.config.kinds.index(shapes[0].kind),
            "truth": shapes,
        }

    def summary(self) -> list[str]:
        c = self.config
        kinds, colours, motions = (len(set(names)) for names in (c.kinds, c.colours, c.motions))
        return [
            f"moving shapes: {len(self):,} {self.split} clips of {c.frames} frames, {c.height}x{c.width}",
            f"{kinds} kinds, {colours} colours, {motions} motions, {c.shapes} a clip",
        ]


def draw_shape(config: Config, rng: random.Random) -> Shape:
    size = min(config.height, config.width)
    radius = size * rng.uniform(*config.radius)
    motion = rng.choice(config.motions)
    room = np.array([config.width, config.height]) - 2 * REACH * radius  # where the centre may be
    path = _path(motion, config.frames, size * rng.uniform(*SPEED), room, rng)
    return Shape(rng.choice(config.kinds), rng.choice(config.colours), motion, radius, path + REACH * radius)


def _path(motion: str, frames: int, speed: float, room: np.ndarray, rng: random.Random) -> np.ndarray:
    """The centre's way (f, 2) in a box of size `room`, at `speed` pixels a frame, slower where it would leave it."""
    time = np.arange(frames)[:, None]
    if motion == "bouncing":
        angle = rng.uniform(0, 2 * math.pi)
        step = QUICKER * speed * np.array([math.cos(angle), math.sin(angle)])
        free = np.array([rng.uniform(0, room[0]), rng.uniform(0, room[1])]) + time * step
        return room - np.abs(np.mod(free, 2 * room) - room)  # mirrored at the walls
    if motion == "circling":
        orbit = rng.uniform(*ORBIT) * room.min()
        centre = np.array([rng.uniform(orbit, room[0] - orbit), rng.uniform(orbit, room[1] - orbit)])
        turn = rng.uniform(0, 2 * math.pi) + rng.choice([-1, 1]) * time * (QUICKER * speed / orbit)
        return centre + orbit * np.concatenate([np.cos(turn), np.sin(turn)], axis=1)
    direction = np.array({"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[motion])
    length = np.minimum(speed * max(frames - 1, 1), room)  # of the way along each axis, were it taken
    start = np.array([rng.uniform(0, r) for r in room])
    along = np.array([rng.uniform(0, r - way) for r, way in zip(room, length, strict=True)])
    start = np.where(direction > 0, along, np.where(direction < 0, along + length, start))
    return start + time / max(frames - 1, 1) * direction * length


def coverage(shape_kind: str, radius: float, position: np.ndarray, height: int, width: int) -> np.ndarray:
    """How much of each pixel a shape covers, (f, h, w) in [0, 1]: its edge is one pixel wide. position (f, 2)."""
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    dx = (x - position[:, 0, None, None]).astype(np.float32) / radius
    dy = (y - position[:, 1, None, None]).astype(np.float32) / radius
    return np.clip(0.5 - radius * KINDS[shape_kind](dx, dy), 0, 1)


def render(shapes: list[Shape], height: int, width: int) -> np.ndarray:
    """The clip (f, h, w, 3) as bytes; later shapes are in front."""
    frames = len(shapes[0].position)
    picture = np.broadcast_to(np.array(BACKGROUND, np.float32), (frames, height, width, 3))
    for shape in shapes:
        cover = coverage(shape.kind, shape.radius, shape.position, height, width)[..., None]
        picture = (1 - cover) * picture + cover * np.array(COLOURS[shape.colour], np.float32)
    return picture.round().astype(np.uint8)
