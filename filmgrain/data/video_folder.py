"""Clips cut from a folder of videos: GIF, MP4, WebM, AVI, MOV, MKV, animated WebP and PNG, folders of frames.

Every file is decoded once, into a cache, before the first item is drawn (`prepare`); what cannot be used is listed in
`refused` and left out. An item is a window in time of one clip (`windows`), its frames cropped and flipped alike.
"""

from dataclasses import dataclass

from . import cache
from . import prepare as decoders
from . import split as splits
from .annotations import annotations, check_captions
from .cache import Scaled
from .clips import STILL, Clips, moving
from .decoded import Decoded
from .listing import look, nothing
from .prepare import Progress
from .samples import collect
from .transforms import check
from .windows import Window


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which clips are cut from a folder of videos."""

    folder: str  # of the files; sub-folders are searched too
    frames: int = 16  # of an item
    height: int = 64  # pixels
    width: int = 64  # pixels
    fps: float = 0.0  # frames a second, resampled by the files' time stamps; 0: each file's own frames
    stride: int | tuple[int, ...] = 1  # frames of the file from one of an item's to the next; [1, 4]: either
    short: str = "loop"  # clips shorter than an item go on from the start ("loop") or backwards ("mirror")
    captions: str = "auto"  # of .txt, .jsonl and .csv; "folders": where there are none, folders' names; or "none"
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction of the data kept from training, for validation; 0: none
    cache: str = ""  # folder of decoded clips; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        decoders.check(self.processes)
        splits.check("train", self.held_out)
        check_captions(self.captions)
        _ = self.window  # checks its own fields

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 3, self.frames, self.height, self.width

    @property
    def window(self) -> Window:
        return Window(frames=self.frames, fps=self.fps, stride=self.stride, short=self.short)

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


class Dataset(Decoded):
    """Windows of the clips of one split. Raises `NoData` if the folder holds no usable video."""

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        self.listing = look(config.folder)
        self.refused = self.listing.refused
        files = self.listing.videos
        said = annotations(self.listing, "none", config.captions, files)
        for path in self.listing.stills:
            if path.suffix.lower() == ".gif":
                self.listing.refuse(path, STILL)
        samples = collect(self.listing, files, said, config.scaled, config.processes, progress)
        samples = moving(self.listing, samples)
        if not samples:
            raise nothing(self.listing, "video")
        self.content = Clips(samples, config, fraction=config.held_out, split=split)

    def summary(self) -> list[str]:
        lines = self.content.summary()
        folders = {path for path in self.listing.videos if path.is_dir()}  # whose stills are frames
        if stills := sum(path.parent not in folders for path in self.listing.stills):
            lines.append(f'{stills:,} stills not used; data.name="image_folder" takes them')
        return lines + self.listing.left_out()
