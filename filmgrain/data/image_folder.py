"""Pictures of any mode and size from a folder and its sub-folders, scaled to cover one size and cropped to it.

Sub-folders may be classes, and texts beside the pictures their captions (`annotations`). Decoded once into the cache,
as videos are; what moves is left to video_folder.
"""

from dataclasses import dataclass

from . import cache
from . import prepare as decoders
from . import split as splits
from .annotations import LABELS, annotations, check_captions, folder_of
from .cache import Scaled
from .decoded import Decoded
from .listing import look, nothing
from .prepare import Progress
from .samples import collect
from .stills import Stills
from .transforms import check


@dataclass(frozen=True, kw_only=True)
class Config:
    """How pictures are taken from a folder."""

    folder: str  # of the files; sub-folders are searched too
    height: int = 64  # pixels
    width: int = 64  # pixels
    labels: str = (
        "auto"  # of "folders", "metadata" (.jsonl) or "none"; "auto": metadata, else folders if all lie in some
    )
    captions: str = "auto"  # of .txt, .jsonl and .csv; "folders": where there are none, folders' names; or "none"
    crop: str = "centre"  # of what the size's shape leaves over: "centre" or "random"
    flip: bool = False  # left and right exchanged in half of the items
    background: tuple[int, int, int] = (255, 255, 255)  # RGB behind what is transparent
    held_out: float = 0.05  # fraction kept from training, for validation; 0: none; sub-folders train, test go first
    cache: str = ""  # folder of decoded pictures; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        check(self.height, self.width, self.crop, self.background)
        decoders.check(self.processes)
        splits.check("train", self.held_out)
        check_captions(self.captions)
        if self.labels not in LABELS:
            raise ValueError(f'labels="{self.labels}" is unknown; use one of {", ".join(LABELS)}')

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self.height, self.width

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


class Dataset(Decoded):
    """The pictures of one split. Raises `NoData` if the folder holds none that can be read.

    `classes` are the names that labels count; None where there are no labels.
    """

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        self.listing = look(config.folder)
        self.refused = self.listing.refused
        said = annotations(self.listing, config.labels, config.captions)
        self.classes = said.classes
        files = self.listing.stills
        samples = collect(self.listing, files, said, config.scaled, config.processes, progress)
        if all(sample.split == "held_out" for sample in samples):
            raise nothing(self.listing, "still")
        self.content = Stills(samples, config, fraction=config.held_out, split=split)

    def summary(self) -> list[str]:
        lines = self.content.summary(self.classes)
        loose = sum(not folder_of(self.listing, path) for path in self.listing.stills)
        if self.config.labels == "auto" and not self.classes and 0 < loose < len(self.listing.stills):
            lines.append(f'no classes: {loose:,} pictures lie in no sub-folder; data.labels="folders" leaves them out')
        if self.listing.videos:
            lines.append(f'{len(self.listing.videos):,} videos not used; data.name="video_folder" takes them')
        return lines + self.listing.left_out()
