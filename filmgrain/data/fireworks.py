"""Fireworks: procedural clips of bursts, whose sparks fall under gravity and drag, on a night sky.

A spark that leaves the burst's centre p at time s with velocity u is, after t = time - s > 0, at

    p + u (1 - e^(-kt)) / k + g (t / k - (1 - e^(-kt)) / k^2),        with brightness e^(-t / fade)

drawn as a Gaussian spot, added to the light that is there. Time runs from 0 to 1 through the clip and lengths are in
units of the picture's shorter side, so that any size and number of frames shows the same fireworks. Every draw is a new
clip; clips of the two splits are never the same.
"""

import colorsys
import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import split as splits

SKY = np.array([[10, 12, 34], [38, 26, 58]], np.float32)  # RGB at the top and at the bottom
DRAG = 3.0  # k, per clip length
GRAVITY = 0.9  # g, downwards
SPEED = (0.9, 1.5)  # of the fastest sparks of a burst
FADE = (0.25, 0.45)  # time in which a spark loses 63 % of its light
RISE = 0.18  # time that a rocket is seen before it bursts


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the clips of fireworks look like."""

    frames: int = 16  # of a clip
    height: int = 64  # pixels
    width: int = 64  # pixels
    bursts: int = 3  # in a clip, at most; at least one
    sparks: int = 60  # in a burst
    clips: int = 10_000  # an epoch; a tenth as many are held out
    truth: bool = False  # whether items hold the bursts they are drawn from, under "truth"

    def __post_init__(self) -> None:
        for name in ("frames", "height", "width", "bursts", "sparks", "clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 3, self.frames, self.height, self.width


@dataclass(frozen=True)
class Burst:
    """The truth about one burst. Lengths in shorter sides of the picture (x to the right, y down), time in clips."""

    time: float  # at which it bursts
    centre: tuple[float, float]
    colour: tuple[float, float, float]  # RGB, 0 to 1
    fade: float
    velocity: np.ndarray  # (sparks, 2), of each spark at the burst

    def positions(self, times: np.ndarray) -> np.ndarray:
        """Where the sparks are, (f, sparks, 2); before the burst, all are on the rocket that rises to it."""
        after = np.maximum(times - self.time, 0)[:, None, None]
        way = (1 - np.exp(-DRAG * after)) / DRAG
        fall = np.array([0, GRAVITY]) * (after - way) / DRAG
        climb = np.array([0, 2.0]) * np.maximum(self.time - times, 0)[:, None, None]
        return np.array(self.centre) + self.velocity * way + fall + climb

    def brightness(self, times: np.ndarray) -> np.ndarray:
        """Light of one spark, (f,)."""
        after = times - self.time
        rocket = np.where(after >= -RISE, 1.5 / len(self.velocity), 0)
        return np.where(after >= 0, np.exp(-np.maximum(after, 0) / self.fade), rocket)


class Dataset:
    """Endless fireworks: a clip is a function of the split and the draw."""

    def __init__(self, config: Config, split: str = "train") -> None:
        splits.check(split, 0)
        self.config, self.split = config, split

    def __len__(self) -> int:
        return self.config.clips if self.split == "train" else max(1, self.config.clips // 10)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        name = f"fireworks:{self.split}:{index}:{rng.getrandbits(64):016x}"
        own, config = random.Random(name), self.config
        extent = np.array([config.width, config.height]) / min(config.height, config.width)
        bursts = [draw_burst(config.sparks, extent, own) for _ in range(own.randint(1, config.bursts))]
        x = render(bursts, config.frames, config.height, config.width).transpose(3, 0, 1, 2)
        truth = {"truth": bursts} if config.truth else {}
        return {"x": np.ascontiguousarray(x), "source": name} | truth

    def summary(self) -> list[str]:
        c = self.config
        return [f"{self.split}: {len(self):,} clips of fireworks an epoch, {c.frames} frames of {c.height}x{c.width}"]


def draw_burst(sparks: int, extent: np.ndarray, rng: random.Random) -> Burst:
    """A burst somewhere in the upper part of a picture of size `extent` (width, height)."""
    speed = rng.uniform(*SPEED)
    # Directions are even on a sphere that is seen from the side; a few sparks are slower, which fills it.
    rise = np.array([rng.uniform(-1, 1) for _ in range(sparks)])
    turn = np.array([rng.uniform(0, 2 * math.pi) for _ in range(sparks)])
    pace = speed * np.array([rng.uniform(0.75, 1) for _ in range(sparks)])
    velocity = pace[:, None] * np.stack([np.sqrt(1 - rise**2) * np.cos(turn), rise], axis=1)
    return Burst(
        time=rng.uniform(0.05, 0.6),
        centre=(rng.uniform(0.25, 0.75) * extent[0], rng.uniform(0.2, 0.5) * extent[1]),
        colour=colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.55, 0.9), 1.0),
        fade=rng.uniform(*FADE),
        velocity=velocity,
    )


def render(bursts: list[Burst], frames: int, height: int, width: int) -> np.ndarray:
    """The clip, uint8 (f, h, w, 3): a Gaussian spot a spark, all of a frame by one matrix product."""
    scale = min(height, width)
    times = (np.arange(frames) + 0.5) / frames
    spot = max(0.6, 0.011 * scale)  # pixels, standard deviation
    light = np.zeros((frames, height, width, 3), np.float32)
    for burst in bursts:
        centre = scale * burst.positions(times).astype(np.float32)  # (f, sparks, 2)
        x = np.exp(-0.5 * ((np.arange(width) + 0.5 - centre[..., 0, None]) / spot) ** 2)  # (f, sparks, w)
        y = np.exp(-0.5 * ((np.arange(height) + 0.5 - centre[..., 1, None]) / spot) ** 2)
        glow = y.transpose(0, 2, 1) @ x * burst.brightness(times)[:, None, None]
        colour = np.array(burst.colour) + 0.5 * np.exp(-8 * np.abs(times - burst.time))[:, None]  # white-hot at first
        light += glow[..., None].astype(np.float32) * colour[:, None, None].astype(np.float32)
    sky = SKY[0] + (SKY[1] - SKY[0]) * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return (255 - (255 - sky) * np.exp(-1.2 * light)).round().astype(np.uint8)  # saturates softly, as film does
