"""What is wrong with the files that data come from: refused, too small, cropped, too short. The subject is a `Look`."""

from collections.abc import Iterator

from ..data.plan import Fate
from .data import MANY, Look
from .finding import Finding, note, problem, some

CROPPED = 0.5  # part of a picture that a crop should leave


def refused(data: Look) -> Iterator[Finding]:
    bad = [fate for fate in data.fates if fate.refused]
    if bad:
        total = len(data.fates) if _used(data) else len(bad) + data.train + data.held_out  # shards tell the bad alone
        say = problem if len(bad) > MANY * total else note
        what = f"{len(bad):,} of {total:,} files are refused, such as {bad[0].path}: {bad[0].refused}"
        yield say(data.where, what, "filmgrain plan names them all; mend or remove them")


def scaled_up(data: Look) -> Iterator[Finding]:
    used = _used(data)
    names = [fate.path for fate in used if fate.height < fate.scaled[0] or fate.width < fate.scaled[1]]
    if names:
        say = problem if len(names) > MANY * len(used) else note
        size = f"{data.config.width}x{data.config.height}"
        what = f"{len(names):,} of {len(used):,} files are smaller than {size} and are scaled up: {some(names)}"
        yield say(data.where, what, "lower data.height and data.width, or the model learns blur")


def cropped_away(data: Look) -> Iterator[Finding]:
    used = _used(data)
    names = [fate.path for fate in used if fate.kept < CROPPED]
    if names:
        what = f"the crop leaves less than half of {len(names):,} of {len(used):,} files: {some(names)}"
        yield note(data.where, what, "set data.height and data.width nearer to their shape")


def shorter_than_window(data: Look) -> Iterator[Finding]:
    used = [fate for fate in _used(data) if fate.frames > 1]
    names = [fate.path for fate in used if _frames(fate, data.config) < data.config.frames]
    if names:
        say = problem if 2 * len(names) > len(used) else note
        wanted = f"data.frames={data.config.frames}"
        what = f"{len(names):,} of {len(used):,} clips are shorter than {wanted} and are repeated: {some(names)}"
        yield say(data.where, what, "lower data.frames, or leave short clips out")


def _used(data: Look) -> list[Fate]:
    return [fate for fate in data.fates if not fate.refused]


def _frames(fate: Fate, config: object) -> float:
    """Of a clip, at the pace of the windows."""
    fps, stride = getattr(config, "fps", 0.0), getattr(config, "stride", 1)
    longest = stride if isinstance(stride, int) else max(stride)
    return fate.frames * fps / fate.fps if fps and fate.fps else fate.frames / longest


CHECKS = (refused, scaled_up, cropped_away, shorter_than_window)
