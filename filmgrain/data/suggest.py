"""Settings that suit a folder, chosen from what its files say of themselves, with a reason for each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..files.kinds import PICTURES, kind
from ..files.video import Info, Unreadable, probe
from . import image_folder, video_folder
from .listing import look, nothing

FRAMES = 16  # of a window, as in Ho et al. (2022), unless clips are shorter
PACE = 12.0  # frames a second that show most motions
ALIKE = 1.05  # ratio up to which rates and aspects count as one

Choice = tuple[dict[str, Any], str]  # settings, and "setting=value: why"


@dataclass(frozen=True)
class Suggestion:
    config: video_folder.Config | image_folder.Config
    reasons: list[str]  # a line a choice
    fps: float = 8.0  # frames a second at which a window moves as its file does


def suggest(folder: str, *, largest: int = 64) -> Suggestion:
    """Settings for the videos of a folder, or for its pictures if it holds no video.

    The shorter side is at most `largest` pixels. Raises `NoData` if nothing is usable.
    """
    listing = look(folder)
    clips = {path: info for path, info in _probed(listing.videos) if info.frames > 1}
    stills = [] if clips else [info for _, info in _probed(listing.stills)]
    if not clips and not stills:
        raise nothing(listing, "video or still")
    if not clips:
        size, why = _size(stills, largest)
        reason = f'name="image_folder": {len(stills):,} pictures and no video'
        return Suggestion(image_folder.Config(folder=folder, **size), [reason, why])
    pace, why_pace = _pace(list(clips.values()))
    lengths = {path: _length(info, **pace) for path, info in clips.items()}
    frames, why_frames = _frames(list(lengths.values()))
    short, why_short = _short([path for path, length in lengths.items() if length < frames["frames"]])
    size, why_size = _size(list(clips.values()), largest)
    why_flip = "flip=false: left and right may matter, as in writing or driving; set flip=true if they do not"
    config = video_folder.Config(folder=folder, **size, **frames, **pace, **short)
    fps = config.fps or median(info.fps for info in clips.values()) / config.stride
    return Suggestion(config, [why_size, why_pace, why_frames, why_short, why_flip], round(fps, 2))


def _probed(paths: list[Path]) -> Iterable[tuple[Path, Info]]:
    """Paths that can be read, it seems, and what they say; the others are for the plan and the run to name."""
    for path in paths:
        try:
            yield path, probe(path)
        except Unreadable:
            continue


def _size(infos: list[Info], largest: int) -> Choice:
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


def _short(shorter: list[Path]) -> Choice:
    """GIFs and their like are made to loop; a film that begins again jumps, one that runs back does not."""
    animations = sum(path.is_file() and kind(path) in PICTURES for path in shorter)
    short = "mirror" if len(shorter) > 2 * animations else "loop"
    why = (
        f"{len(shorter)} clips are shorter than a window, {animations} of them animations"
        if shorter
        else "none is needed"
    )
    return {"short": short}, f'short="{short}": {why}'
