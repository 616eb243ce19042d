"""Which way a shape moves, and how far its way is from a legal one: the laws of data/moving_shapes.py, fitted.

A way is where a shape's centre is at times t, in a box of the size `room`. Each motion is a family of ways with few
parameters; the nearest of each is found in closed form for a grid of the one or two parameters that are not linear:

    left, right, up, down    p + t v along one axis
    bouncing                 fold(p + t v), mirrored at the walls, in each axis by itself
    circling                 c + r (cos(a + t w), sin(a + t w))

with speeds and orbits in the ranges that the data have. A distance is the root of the mean square over frames and axes,
in heights of the picture: real ways are nearer than 0.002, which is how well a shape is read back from pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..data.moving_shapes import ORBIT, QUICKER, SPEED

LEGAL = 0.02  # heights, up to which a way counts as its motion's; what stands still for 8 frames is at 0.024
READ = 0.004  # heights, an error of reading a place from pixels that nothing is concluded from
STRAIGHT = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}  # axis, sign
COST = dict.fromkeys(STRAIGHT, 0.0) | {"bouncing": 12.0, "circling": 18.0}  # of what is free: Fit.score
SPEEDS, PLACES, TURNS = 41, 61, 81  # of the grids
TOLERANCE = 0.001  # sides a frame, by which a speed may be outside the data's range: how well it can be read
Way = Float[np.ndarray, "f 2"]


@dataclass(frozen=True)
class Fit:
    """The legal way of one motion that is nearest to a given one."""

    motion: str
    way: Way
    distance: float  # heights

    def score(self, frames: int) -> float:
        """Lower is likelier: -2 log of the likelihood of 2 x frames numbers, and the COST of the motion's freedom.

        Every straight way is nearly one of a shape that bounces, and hardly any shape that bounces moves straight along
        an axis. Its angle is one of 2 pi; known to s = READ / (speed sqrt(sum (t - mean t)^2)), in 16 frames 0.007, it
        costs -2 log(sqrt(2 pi) s / 2 pi) = 12. The one number more of a circle costs 6.
        """
        return 2 * frames * np.log(self.distance**2 + READ**2) + COST[self.motion]


def fits(way: Way, times: Float[np.ndarray, " f"], room: Float[np.ndarray, " 2"], size: int, height: int) -> list[Fit]:
    """The nearest way of each motion, the likeliest first. room: where the centre may be, from 0, in pixels.

    size: the shorter side of the picture, of which speeds are parts. times: numbers of the frames that are known.
    """
    found = {motion: _straight(way, times, room, size, *how) for motion, how in STRAIGHT.items()}
    found["bouncing"] = _bouncing(way, times, room, size)
    found["circling"] = _circling(way, times, room, size)
    made = [Fit(motion, near, _rms(near - way) / height) for motion, near in found.items()]
    return sorted(made, key=lambda fit: fit.score(len(way)))


def _straight(way: Way, times: np.ndarray, room: np.ndarray, size: int, axis: int, sign: int) -> Way:
    """Speeds are the data's, and lower ones where the box is too short for them."""
    length = max(times[-1] - times[0], 1)
    slowest, fastest = np.minimum(np.array(SPEED) * size, max(room[axis], 1.0) / length)
    centred = times - times.mean()
    slope = sign * np.clip(sign * (centred @ way[:, axis]) / max(centred @ centred, 1e-9), slowest, fastest)
    near = np.broadcast_to(way.mean(0), way.shape).copy()
    near[:, axis] += slope * centred
    return near


def _bouncing(way: Way, times: np.ndarray, room: np.ndarray, size: int) -> Way:
    """Each axis for itself, at each of SPEEDS; and the nearest pair whose speed together is one of the data's."""
    slowest, fastest = QUICKER * np.array(SPEED) * size
    (errors, speeds, ways), (others, across, beside) = (
        _folded(way[:, axis], times, room[axis], np.linspace(0, fastest, SPEEDS)) for axis in (0, 1)
    )
    speed = np.hypot(speeds[:, None], across[None])
    allowed = (speed > slowest - TOLERANCE * size) & (speed < fastest + TOLERANCE * size)
    i, j = np.unravel_index(np.where(allowed, errors[:, None] + others[None], np.inf).argmin(), speed.shape)
    return np.stack([ways[i], beside[j]], axis=1)


def _folded(x: np.ndarray, times: np.ndarray, room: float, speeds: np.ndarray) -> tuple[np.ndarray, ...]:
    """Squared errors, speeds and ways in one axis, for a start at each of the speeds: fold(a + b t) near x.

    fold(a + b t) = fold(-a - b t), so that speeds need no sign. Where no frame changes walls the way is linear in a and
    b, and its best ones are a regression on the residuals; b stays nearest to the speed that it began at.
    """
    starts = np.linspace(0, 2 * room, PLACES, endpoint=False)
    error = np.square(fold(starts[:, None] + np.multiply.outer(speeds, times)[:, None], room) - x).sum(-1)
    start, speed, centred, cell = starts[error.argmin(1)], speeds, times - times.mean(), speeds[1] / 2
    found = [(start, speed)]
    for _ in range(3):
        free = start[:, None] + np.multiply.outer(speed, times)
        left = np.where(np.mod(free, 2 * room) < room, 1, -1) * (x - fold(free, room))
        better = np.clip(speed + left @ centred / max(centred @ centred, 1e-9), speeds - cell, speeds + cell)
        start, speed = start + left.mean(1) - (better - speed) * times.mean(), better
        found.append((start, speed))
    ways = np.stack([fold(a[:, None] + np.multiply.outer(b, times), room) for a, b in found])
    errors = np.square(ways - x).sum(-1)
    best, rows = errors.argmin(0), np.arange(len(speeds))
    return errors[best, rows], np.abs(np.stack([b for _, b in found])[best, rows]), ways[best, rows]


def fold(free: np.ndarray, room: float) -> np.ndarray:
    """A free way, mirrored at 0 and at `room`."""
    return room - np.abs(np.mod(free, 2 * room) - room)


def _circling(way: Way, times: np.ndarray, room: np.ndarray, size: int) -> Way:
    """For each turn a frame the way is linear in its centre and in where it starts on the orbit."""
    slowest, fastest = QUICKER * np.array(SPEED) * size
    least, most = np.array(ORBIT) * room.min()
    speeds = np.linspace(slowest / most, fastest / least, TURNS)
    turns = np.concatenate([-speeds, speeds])
    angle = np.multiply.outer(turns, times - times.mean())
    spin = np.exp(1j * angle)  # (turns, f), x + i y
    place = way[:, 0] + 1j * way[:, 1]
    off = spin - spin.mean(1, keepdims=True)
    arm = (off.conj() * (place - place.mean())).sum(1) / np.maximum(np.square(np.abs(off)).sum(1), 1e-9)
    low, high = np.maximum(least, slowest / np.abs(turns)), np.minimum(most, fastest / np.abs(turns))
    arm = np.clip(np.abs(arm), low, np.maximum(low, high)) * np.exp(1j * np.angle(arm))
    near = place.mean() + arm[:, None] * off
    best = near[np.square(np.abs(near - place)).sum(1).argmin()]
    return np.stack([best.real, best.imag], axis=1)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
