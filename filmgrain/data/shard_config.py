"""What is taken from tar shards, and what is said of the rest, whether `shards` reads them or `stream`."""

from collections.abc import Sequence
from dataclasses import dataclass

from . import NoData
from . import split as splits
from .listing import Refused
from .transforms import check
from .windows import Window

LABELS = ("auto", "none")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The keys that both have."""

    folder: str  # of the shards, NAME.tar; sub-folders are searched too; or one shard
    frames: int = 0  # of an item, a clip; 0: items are pictures
    height: int = 64  # pixels
    width: int = 64  # pixels
    labels: str = "auto"  # from .cls or .json: "auto", if there are any; or "none"
    fps: float = 0.0  # of clips: frames a second, resampled by time stamps; 0: each file's own frames
    stride: int | tuple[int, ...] = 1  # of clips: frames of the file from one of an item's to the next; [1, 4]: either
    short: str = "loop"  # clips shorter than an item go on from the start ("loop") or backwards ("mirror")
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction kept from training, for validation; 0: none; shards train-, val- go first

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        splits.check("train", self.held_out)
        if self.frames < 0:
            raise ValueError(f"frames={self.frames} is negative; use 0 for pictures")
        if self.labels not in LABELS:
            raise ValueError(f'labels="{self.labels}" is unknown; use one of {", ".join(LABELS)}')
        _ = self.window  # checks its own fields

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.frames, self.height, self.width) if self.frames else (3, self.height, self.width)

    @property
    def window(self) -> Window:
        return Window(frames=max(1, self.frames), fps=self.fps, stride=self.stride, short=self.short)

    def not_used(self, count: int) -> list[str]:
        """A line of a summary on the samples of the other kind, if there are any."""
        kind, how = ("pictures", "0") if self.frames else ("videos", "16")
        return [f"{count:,} {kind} not used; data.frames={how} takes them"] if count else []

    def nothing(self, shards: int, unused: int, refused: Sequence[Refused]) -> NoData:
        """The error for shards without a single sample of the kind that is wanted."""
        wanted, other = ("video", "pictures") if self.frames else ("picture", "videos")
        first = next((f"; {each.path}: {each.reason}" for each in refused), "")
        return NoData(
            f"{self.folder} holds no usable {wanted} in its {shards} shards ({unused} {other}, "
            f"{len(refused)} refused{first}); expected KEY.jpg, .png, .webp, .gif or .mp4 in tar files"
        )
