"""The files of samples, written while the next samples are being drawn; and the sheets of them all."""

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from .wishes import Wish, slug

if TYPE_CHECKING:
    import numpy as np

    from ..files.background import Background

SHOWN = 256  # samples of a sheet at most, so that it does not outgrow memory; but one of each class
STRIP = 8  # samples of the film strip
LINE, LINES = 24, 5  # letters and lines of a label, at most


class Album:
    """The folder of `count` samples, made as `made` says: equally many, one after another, of each class or prompt.

    Of those that are written, what the sheets show is kept as bytes, and nothing else.
    """

    def __init__(self, out: Path, made: dict[str, Any], count: int, later: "Background"):
        self.out, self.made, self.later = out, made, later
        said = {key: made[key] for key in ("label", "prompt") if key in made}
        self.rows: list[Wish] = [dict(zip(said, values, strict=True)) for values in zip(*said.values(), strict=True)]
        self.each = count // max(1, len(self.rows))  # samples of a row
        self.columns = max(1, min(self.each, SHOWN // max(1, len(self.rows))))  # of these, shown
        self.kept: dict[int, np.ndarray] = {}
        self.still = len(made["shape"]) == 3
        out.mkdir(parents=True, exist_ok=True)

    def add(self, ids: range, frames: "np.ndarray", nfe: float) -> None:
        """The samples of a batch, uint8 (b, f, h, w, 3). Waits until those of the batch before are on the disk."""
        from ..files.encode import write_gif, write_mp4
        from ..files.image import write_png

        self.later.wait()
        for index, clip in zip(ids, frames, strict=True):
            wish = self.rows[index // self.each] if self.rows else {}
            own = self.made | wish | {"nfe": nfe, "index": index}
            words = slug(wish.get("prompt", ""))
            stem = self.out / (f"{index:03d}-{words}" if words else f"{index:03d}")
            if self.still:
                self.later(write_png, Path(f"{stem}.png"), clip[0], own)
            else:
                self.later(write_gif, Path(f"{stem}.gif"), clip, self.made["fps"], own)
                self.later(write_mp4, Path(f"{stem}.mp4"), clip, self.made["fps"], own)
            if index % self.each < self.columns:
                self.kept[index] = clip

    def finish(self, made: dict[str, Any]) -> list[Path]:
        """Writes the sheets, all samples being there; returns the paths worth a look."""
        from ..files.encode import write_gif, write_mp4
        from ..files.image import write_png
        from ..files.sheet import contact_sheet, film_strip

        clips, own = list(self.kept.values()), made | {"index": list(self.kept)}
        names = ["\n".join(wrap(", ".join(row.values()), LINE, max_lines=LINES)) for row in self.rows]
        sheet = contact_sheet(clips, columns=self.columns if names else None, labels=names or None)
        if self.still:
            write_png(self.out / "sheet.png", sheet[0], own)
            return [self.out, self.out / "sheet.png"]
        write_gif(self.out / "sheet.gif", sheet, made["fps"], own)
        write_mp4(self.out / "sheet.mp4", sheet, made["fps"], own)
        write_png(self.out / "sheet.png", film_strip(clips[:STRIP]), own)
        return [self.out, *(self.out / f"sheet.{kind}" for kind in ("gif", "mp4", "png"))]
