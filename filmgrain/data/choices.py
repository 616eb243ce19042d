"""Size, pace and length that suit some videos or pictures, from what their headers say, with a reason for each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from ..files.folder import SUFFIXES
from ..files.kinds import PICTURES, kind
from ..files.member import Member
from ..files.video import Info, Unreadable, probe
from .cache import Source

FRAMES = 16  # of a window, as in Ho et al. (2022), unless clips are shorter
PACE = 12.0  # frames a second that show most motions
LOOKED_AT = 1000  # pictures, or files of shards, at most
ALIKE = 1.05  # ratio up to which rates and aspects count as one

File = TypeVar("File", bound=Source)
Choice = tuple[dict[str, Any], str]  # settings, and "setting=value: why"


def some(files: Sequence[File]) -> Sequence[File]:
    """Evenly spread, and no more than a look at each can be afforded of."""
    return files[:: -(-len(files) // LOOKED_AT) or 1]


def probed(paths: Iterable[File]) -> Iterable[tuple[File, Info]]:
    """Paths that can be read, it seems, and what they say; the others are for the plan and the run to name."""
    for path in paths:
        try:
            yield path, probe(path)
        except Unreadable:
            continue


def for_clips(infos: Mapping[File, Info], largest: int) -> tuple[dict[str, Any], list[str], float]:
    """Settings for clips, a line of reason for each, and the rate at which to show them."""
    pace, why_pace = _pace(list(infos.values()))
    lengths = {path: _length(info, **pace) for path, info in infos.items()}
    frames, why_frames = _frames(list(lengths.values()))
    short, why_short = _short([path for path, length in lengths.items() if length < frames["frames"]])
    pixels, why_size = size(list(infos.values()), largest)
    why_flip = "flip=false: left and right may matter, as in writing or driving; set flip=true if they do not"
    fps = pace["fps"] or median(info.fps for info in infos.values()) / pace["stride"]
    reasons = [why_size, why_pace, why_frames, why_short, why_flip]
    return {**pixels, **frames, **pace, **short}, reasons, round(fps, 2)


def size(infos: list[Info], largest: int) -> Choice:
    """Multiples of 8, which most networks halve without padding; never much more than the files hold."""
    shorter = median(min(info.height, info.width) for info in infos)
    side = max(8, min(largest, 8 * round(shorter / 8)))
    aspects = [info.width / info.height for info in infos]
    height = width = side
    if max(aspects) > ALIKE * min(aspects):
        why = "square, as shapes differ"
    else:
        aspect = median(aspects)
        height, width = (8 * round(side * max(1.0, a) / 8) for a in (1 / aspect, aspect))
        why = "the shape that all files have"
    why += f"; the shorter side is {shorter:g} pixels in the median, and {largest} at most here"
    return {"height": height, "width": width}, f"height={height}, width={width}: {why}"


def _pace(infos: list[Info]) -> Choice:
    rates = [info.fps for info in infos]
    usual, slowest, fastest = median(rates), min(rates), max(rates)
    if fastest <= ALIKE * slowest:
        stride = max(1, min(round(usual / PACE), int(median(info.frames for info in infos)) // FRAMES))
        why = f"all files have about {usual:.3g} frames a second, of which this shows {usual / stride:.3g}"
        return {"fps": 0.0, "stride": stride}, f"fps=0, stride={stride}: {why}"
    # Slower than PACE only where files are; faster, up to their own rate, where clips would be short of frames.
    needed = FRAMES / median(info.duration for info in infos)
    fps = max(1.0, float(round(min(usual, max(PACE, needed)))))
    why = f"files have {slowest:.3g} to {fastest:.3g} frames a second, so they are resampled by their time stamps"
    return {"fps": fps, "stride": 1}, f"fps={fps:g}: {why}"


def _length(info: Info, fps: float, stride: int) -> int:
    """Frames of a clip at a pace."""
    return int(info.duration * fps + 1e-6) if fps else info.frames // stride


def _frames(lengths: list[int]) -> Choice:
    usual = int(median(lengths))
    frames = min(FRAMES, usual // 4 * 4 if usual >= 4 else 2)
    why = f"half of the clips have {usual} or more at this pace"
    return {"frames": frames}, f"frames={frames}: {why}"


def _short(shorter: Sequence[Source]) -> Choice:
    """GIFs and their like are made to loop; a film that begins again jumps, one that runs back does not."""
    animations = sum(_is_animation(path) for path in shorter)
    short = "mirror" if len(shorter) > 2 * animations else "loop"
    why = (
        f"{len(shorter)} clips are shorter than a window, {animations} of them animations"
        if shorter
        else "none is needed"
    )
    return {"short": short}, f'short="{short}": {why}'


def _is_animation(path: Source) -> bool:
    if isinstance(path, Member):
        return Path(path.name).suffix.lower() in SUFFIXES
    return path.is_file() and kind(path) in PICTURES
