"""How much clips move, flicker, and jump at given frames: each as a multiple of what the data do, so that 1 is best.

With d[t] = x[t+1] - x[t] over all pixels, and means over all clips of a set,

    motion    sqrt(E |d|^2)
    flicker   E |d[t+1] - d[t]|^2 / E |d|^2       0 if all changes go on, 3 for noise in time, 4 for what alternates
    boundary  E |d|^2 at the boundaries / E |d|^2 elsewhere, where pieces of a longer clip were joined
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .intervals import Number, measured

NAMES = ("motion", "flicker", "boundary")


def check(frames: int, boundaries: Sequence[int] = ()) -> None:
    """Raises ValueError where clips are too short, or have no such boundary."""
    if frames < 3:
        raise ValueError(f"{frames} frames are too few to flicker; use clips of 3 or more")
    if wrong := [n for n in boundaries if not 0 < n < frames]:
        raise ValueError(f"a boundary at frame {wrong[0]} is none of a clip of {frames}; use 1 to {frames - 1}")


def rows(clips: UInt8[Tensor, "b 3 f h w"], boundaries: Sequence[int] = ()) -> Float[Tensor, "b 4"]:
    """Of each clip the means of |d|^2, of |d[t+1] - d[t]|^2, and of |d|^2 at the boundaries and elsewhere.

    boundaries: numbers of the frames that begin a new piece.
    """
    check(clips.shape[2], boundaries)
    change = (clips.double() / 255).diff(dim=2)
    size = change.square().mean((1, 3, 4))
    joined = torch.zeros(size.shape[1], dtype=torch.bool)
    joined[[n - 1 for n in boundaries]] = True
    parts = [size[:, joined].mean(1), size[:, ~joined].mean(1)] if boundaries else [size.mean(1)] * 2
    return torch.stack([size.mean(1), change.diff(dim=2).square().mean((1, 2, 3, 4)), *parts], dim=1)


def figures(table: Float[Tensor, "n 4"]) -> dict[str, float]:
    """What a set of clips does, by itself; 0 where nothing moves. motion is in parts of the full range."""
    change, again, joined, elsewhere = table.mean(0).tolist()
    return {
        "motion": change**0.5,
        "flicker": _over(again, change),
        "boundary": _over(joined, elsewhere),
    }


def measure(
    samples: Float[Tensor, "n 4"], reference: Float[Tensor, "m 4"], *, halves: int, seed: int, joined: bool = False
) -> dict[str, Number]:
    """motion[pixels], flicker[pixels] and, if pieces were joined, boundary[pixels]: samples over reference."""
    names = NAMES if joined else NAMES[:2]

    def ratios(samples: Tensor, reference: Tensor) -> dict[str, float]:
        ours, theirs = figures(samples), figures(reference)
        return {f"{name}[pixels]": _over(ours[name], theirs[name]) for name in names}

    numbers = measured(ratios, samples, reference, halves=halves, seed=seed)
    return {name: Number(number.value, number.halves, 0) for name, number in numbers.items()}


def _over(a: float, b: float) -> float:
    return a / b if b else 0.0
