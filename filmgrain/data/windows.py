"""Windows: which frames of a clip make one item.

Moments begin + k * step, k = 0 ... frames - 1, are looked up among the clip's time stamps. A target fps counts time in
seconds (step = 1 / fps), so a motion keeps its speed at whatever fps a file has; otherwise time is counted in native
frames (step = stride).
"""

import math
import random
from dataclasses import dataclass, replace

import numpy as np

SHORT = ("loop", "mirror")


@dataclass(frozen=True, kw_only=True)
class Window:
    frames: int  # frames an item
    fps: float = 0.0  # frames a second; 0: the clip's own frames
    stride: int | tuple[int, ...] = 1  # native frames from one to the next; 1: every frame; several: `one` of them
    short: str = "loop"  # a clip shorter than the window goes on from its start ("loop") or backwards ("mirror")

    def __post_init__(self) -> None:
        if self.frames < 1 or min(self.strides, default=0) < 1 or not 0 <= self.fps < math.inf:
            raise ValueError(
                f"frames={self.frames}, stride={self.stride}, fps={self.fps:g}: expected frames and stride of 1 or"
                " more, fps of 0 (native) or more"
            )
        if self.fps and max(self.strides) > 1:
            raise ValueError(f"fps={self.fps:g} and stride={self.stride} both set the pace; leave stride=1 or fps=0")
        if self.short not in SHORT:
            raise ValueError(f'short="{self.short}" is unknown; use one of {", ".join(SHORT)}')

    @property
    def strides(self) -> tuple[int, ...]:
        return (self.stride,) if isinstance(self.stride, int) else self.stride

    def one(self, rng: random.Random) -> "Window":
        """The window of one of its strides, where there are several."""
        return self if isinstance(self.stride, int) else replace(self, stride=rng.choice(self.stride))

    def fps_of(self, times: np.ndarray, duration: float) -> float:
        """Frames a second of an item cut from such a clip; 0 where that cannot be told."""
        if self.fps or not duration:
            return self.fps
        return len(times) / duration / self.strides[0]

    def items(self, times: np.ndarray, duration: float) -> int:
        """Items an epoch of one clip: as many as whole windows lie in it side by side, and at least one."""
        _, end, step = self._clock(times, duration, min(self.strides))
        return max(1, int(end / step + 1e-6) // self.frames)

    def draw(self, times: np.ndarray, duration: float, rng: random.Random) -> range | np.ndarray:
        """The native frames of a window, int64 (frames,) or a range, that starts at one of those it fits behind.

        times (f,) are the starts of the native frames in seconds from 0, duration the end of the last.
        """
        if not self.fps and (spare := len(times) - (self.frames - 1) * self.strides[0]) > 0:
            first = rng.randrange(spare)
            return range(first, first + self.frames * self.strides[0], self.strides[0])
        clock, end, step = self._clock(times, duration, self.strides[0])
        moments = step * np.arange(self.frames)
        # Time stamps are rounded (to 10 ms in a GIF), so a frame may count as shown a little before its own.
        slack = 0.25 * (np.diff(clock).min(initial=step) if self.fps else 1.0)
        starts = int(np.searchsorted(clock, end - moments[-1] - 1e-6 * step))
        if starts:
            moments = clock[rng.randrange(starts)] + moments + slack
        else:
            moments = self._fold(clock[rng.randrange(len(clock))] + moments, clock[-1], end, slack)
        return np.searchsorted(clock, moments, side="right") - 1

    def cut(self, times: np.ndarray, duration: float, fraction: float) -> int:
        """The native frame from which the last part of a clip is held out; 0 if the clip is too short for that.

        The part is `fraction` of the clip, but at least a window; a clip of less than four windows gives none.
        """
        clock, end, step = self._clock(times, duration, max(self.strides))
        window = self.frames * step
        if end < 4 * window - 1e-6 * step:
            return 0
        return int(np.searchsorted(clock, end - max(window, fraction * end) + 1e-6 * step, side="right")) - 1

    def _clock(self, times: np.ndarray, duration: float, stride: int) -> tuple[np.ndarray, float, float]:
        """Starts of the frames, end of the last, and step, in the unit that time is counted in."""
        if self.fps and duration > 0:
            return times, duration, 1 / self.fps
        return np.arange(len(times), dtype=np.float64), float(len(times)), float(stride)

    def _fold(self, moments: np.ndarray, last: float, end: float, slack: float) -> np.ndarray:
        """Moments past the end of a clip -> moments inside it; when mirrored, its ends are shown once a turn."""
        if self.short == "loop":
            return (moments + slack) % end
        return last - np.abs(moments % (2 * last) - last) + slack if last else 0 * moments
