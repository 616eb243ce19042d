"""Pictures or clips from tar shards in the WebDataset layout, read where they lie: nothing is unpacked.

Files of one sample share their name up to its first dot: a picture or video, and its .txt (caption), .cls (class) or
.json ("caption" or "text", "label"). A shard is indexed once (`shard_index`), its pictures and videos are decoded once
into the cache, and what cannot be used is refused by name.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from ..files.folder import natural
from ..files.member import Member
from . import NoData, cache
from . import prepare as decoders
from . import split as splits
from .annotations import Annotations
from .cache import Scaled
from .clips import Clips, moving
from .decoded import Decoded
from .listing import Listing
from .prepare import Progress
from .samples import collect
from .shard_config import Taken
from .shard_index import index
from .stills import Stills


@dataclass(frozen=True, kw_only=True)
class Config(Taken):
    """What is taken from shards, and where it is decoded to."""

    cache: str = ""  # folder of decoded files; "": filmgrain/clips in the user's cache folder
    processes: int = 0  # that decode at the same time; 0: one a core

    def __post_init__(self) -> None:
        super().__post_init__()
        decoders.check(self.processes)

    @property
    def scaled(self) -> Scaled:
        root = cache.folder(self.cache)
        return Scaled(root=root, height=self.height, width=self.width, background=self.background)


class Dataset(Decoded):
    """The pictures, or the windows of the clips, of one split. Raises `NoData` if no shard holds one that can be read.

    `classes` are the names that labels count; None where there are no labels.
    """

    def __init__(self, config: Config, split: str = "train", progress: Progress | None = None) -> None:
        splits.check(split, config.held_out)
        self.config, self.split = config, split
        shards = find(Path(config.folder))
        root = Path(config.folder)
        self.listing = Listing(root if root.is_dir() else root.parent)
        self.refused = self.listing.refused
        self.unused = 0  # samples of the other kind
        files, said = self._indexed(shards, progress)
        self.classes = said.classes
        samples = collect(self.listing, files, said, config.scaled, config.processes, progress)
        if config.frames:
            samples = moving(self.listing, samples)
        if all(sample.split == "held_out" for sample in samples):
            raise config.nothing(len(shards), self.unused, self.refused)
        made: type[Clips] | type[Stills] = Clips if config.frames else Stills
        self.content = made(samples, config, fraction=config.held_out, split=split)

    def summary(self) -> list[str]:
        lines = self.content.summary(self.classes)
        return lines + self.config.not_used(self.unused) + self.listing.left_out()

    def _indexed(self, shards: list[Path], progress: Progress | None) -> tuple[list[Member], Annotations]:
        """Every picture, or every video, and what is said of it; what is refused and ignored goes to the listing."""
        files, said = [], Annotations()
        parts = splits.by_name({shard: splits.word(self.listing.name(shard)) for shard in shards})
        for done, shard in enumerate(shards, 1):
            found = index(shard, self.config.scaled.root)
            for row in found.rows:
                if row.moves != bool(self.config.frames):
                    self.unused += 1
                    continue
                member = Member(shard, row.name, row.offset, row.size, row.digest)
                files.append(member)
                label = row.label if self.config.labels == "auto" else None
                told = (row.caption, said.captions), (label, said.labels), (parts.get(shard), said.splits)
                for value, kept in told:
                    if value is not None:
                        kept[member] = value
            for name, reason in found.refused:
                self.listing.refuse(Path(f"{shard}/{name}"), reason)
            self.listing.ignored += found.ignored
            if progress:
                progress(done, len(shards))
        return files, said


def find(folder: Path) -> list[Path]:
    """The shards of a folder, in natural order; or the one that is given. Raises `NoData`."""
    if folder.is_file():
        return [folder]
    shards = [path for path in folder.rglob("*.tar") if os.path.isfile(path) and not path.name.startswith(".")]
    if not shards:
        raise NoData(f"{folder} {'holds no shards' if folder.is_dir() else 'is not there'}; give a folder of NAME.tar")
    return sorted(shards, key=lambda path: [natural(Path(part)) for part in path.relative_to(folder).parts])
