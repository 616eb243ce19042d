"""The film strip of a whole chain: what samples look like on their way from noise."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..model import DiffusionModel
    from ..samplers import Step

    Watch = Callable[[range, Step], None]

SHOWN = 8  # samples, a row each


class Chain:
    """What the first samples look like on their way, at so many of its steps: the film strip of a whole chain."""

    def __init__(self, intervals: int, count: int):
        self.at = {round(i * (intervals - 1) / max(count - 1, 1)) for i in range(min(count, intervals))}
        self.step = 0
        self.kept: list[Tensor] = []

    def watch(self, also: "Watch") -> "Watch":
        """What `generate` may call with each step; calls `also`."""

        def watch(ids: range, step: "Step") -> None:
            also(ids, step)
            if ids.start:  # of the first batch alone
                return
            if self.step in self.at:
                self.kept.append(step.z[:SHOWN].cpu())
            self.step += 1

        return watch

    def write(self, out: Path, model: "DiffusionModel", made: dict[str, Any]) -> list[Path]:
        from ..files.encode import write_gif
        from ..files.image import write_png
        from ..files.sheet import contact_sheet
        from ..generate.videos import to_uint8

        if not self.kept:
            return []
        device = next(model.parameters()).device
        steps = [model.codec.decode(z.to(device)).clamp(-1, 1) for z in self.kept]
        still = steps[0].ndim == 4
        clips = [to_uint8(x[:, :, None] if still else x).expand(-1, -1, -1, -1, 3).numpy() for x in steps]
        sheet = contact_sheet([clip[i] for i in range(len(clips[0])) for clip in clips], columns=len(clips))
        path = out / ("strip.png" if still else "strip.gif")
        if still:
            write_png(path, sheet[0], made)
        else:
            write_gif(path, sheet, made["fps"], made)
        return [path]
