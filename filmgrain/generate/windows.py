"""Videos longer than a model's clips: windows of the length that it makes, each given what is drawn already."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .conditional import Given


@dataclass(frozen=True)
class Window:
    """Frames start ... stop - 1, drawn at once; of these, drawn ... upto - 1 are new and go out."""

    start: int
    stop: int
    drawn: int
    upto: int


def plan(total: int, length: int, overlap: int, *, drawn: int = 0, every: int = 1, room: int = 0) -> list[Window]:
    """Windows of `length` frames by which `total` frames come about, of which `drawn` are there already.

    Each begins `overlap` frames before what is new; the last ends with the video, and so may overlap more. every: only
    every so many frames may a window end, where a frame is known. room: new frames of one more window at the end, whose
    frames behind the video are known (a loop).
    """
    if not 0 < overlap < length:
        raise ValueError(f"overlap={overlap} of blocks of {length} frames; use 1 to {length - 1}")
    windows, end = [], total - room
    while drawn < end:
        start = max(0, min(drawn - overlap, end - length))
        upto = min(end, start + length)
        if upto < end:
            upto = (upto - 1) // every * every + 1
        if upto <= drawn:
            raise ValueError(
                f"overlap={overlap} leaves no room for a known frame, {every} further on; use a smaller one"
            )
        windows.append(Window(start, start + length, drawn, upto))
        drawn = upto
    if room:
        start = drawn - (length - room) // 2
        windows.append(Window(start, start + length, drawn, total))
    return windows


def fill(
    windows: list[Window],
    draw: Callable[[int, Given], Tensor],
    given_of: Callable[[int, int], Given],
    tail: Float[Tensor, "b c f h w"] | None = None,
) -> Iterator[Float[Tensor, "b c new h w"]]:
    """The new frames of each window. tail: the last of those frames that are there already.

    given_of(start, stop): what is known of these frames from elsewhere. No more is kept than a window's frames.
    """
    for number, window in enumerate(windows):
        given = given_of(window.start, window.stop)
        if tail is not None and (again := window.drawn - window.start):
            given.x[:, :, :again] = tail[:, :, tail.shape[2] - again :]
            given.mask[:, :again] = True
        x = draw(number, given)
        new = x[:, :, window.drawn - window.start : window.upto - window.start]
        tail = new if tail is None else torch.cat([tail.to(new), new], dim=2)
        tail = tail[:, :, -(window.stop - window.start) :].clone()
        yield new
