"""Whether a model repeats its training data: its samples, the training items nearest to them, and a verdict.

Distances are taken between features, in which a shifted or recoloured copy is near, and between pixels, in which a
plain picture is near to everything: neither decides alone. They are held against those of data it never saw.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..data import Dataset
from ..files.sheet import GREY, contact_sheet
from .features import Extractor
from .neighbours import Copying, Nearest, copying, nearest
from .pictures import Pictures, of_data

MOST = 1000  # samples that are looked at, and items held out of training
SHOWN = 4  # neighbours of a sample in each space

Space = Callable[[UInt8[Tensor, "b 3 h w"]], Float[Tensor, "b d"]]


@dataclass(frozen=True)
class Memorisation:
    samples: UInt8[Tensor, "n 3 h w"]
    nearest: dict[str, Nearest]  # of each sample in "features" and in "pixels"; indices are draws of the training data
    unseen: dict[str, Float[Tensor, " m"]]  # distance of items held out to the nearest training item; may be empty
    seed: int  # of the draws

    @property
    def copying(self) -> dict[str, Copying]:
        """The verdict in each space; none, if nothing is held out of training."""
        return {
            space: copying(self.nearest[space].distance[:, 0], unseen, self.seed)
            for space, unseen in self.unseen.items()
            if len(unseen)
        }

    def row(self) -> dict[str, Any]:
        counts = {"samples": len(self.samples), "held_out": len(self.unseen["features"])}
        return counts | {space: verdict.row() for space, verdict in self.copying.items()}


def memorisation(
    samples: UInt8[Tensor, "n 3 h w"],
    train: Dataset,
    held_out: Dataset,
    extractor: Extractor,
    *,
    seed: int,
    mirrored: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Memorisation:
    """Searches all of the training data, for the neighbours of at most MOST samples and MOST items held out.

    mirrored: the model was trained on mirror images too, so that copies of those are looked for.
    """
    samples, count = samples[:MOST], min(MOST, len(held_out))
    unseen = torch.cat([samples[:0], *(of_data(held_out, range(count), seed) if count else ())])
    spaces: dict[str, Space] = {"features": extractor, "pixels": pixels}
    found, beyond = {}, {}
    for i, (name, space) in enumerate(spaces.items()):
        walk = _told(of_data(train, range(len(train)), seed), progress, i * len(train), len(spaces) * len(train))
        asked = torch.cat([samples, unseen])
        asked = torch.cat([asked, asked.flip(-1)]) if mirrored else asked
        features = torch.cat([space(part) for part in asked.split(64)])
        near = nearest(features, (space(part) for part in walk), k=min(SHOWN, len(train)))
        near = nearer(near) if mirrored else near
        found[name] = Nearest(near.distance[: len(samples)], near.index[: len(samples)])
        beyond[name] = near.distance[len(samples) :, 0]
    return Memorisation(samples, found, beyond, seed)


def nearer(near: Nearest) -> Nearest:
    """Of items and then of their mirror images: for each item the nearest of both."""
    distance, index = (torch.cat(values.chunk(2), dim=1) for values in (near.distance, near.index))
    best = distance.topk(near.distance.shape[1], largest=False)
    return Nearest(best.values, index.gather(1, best.indices))


def pixels(pictures: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
    """Of 0 to 255."""
    return pictures.flatten(1).double()


def sheet(found: Memorisation, train: Dataset, rows: int) -> UInt8[np.ndarray, "h w 3"]:
    """The samples nearest to the training data by their features, each with its neighbours there, and in pixels.

    A row is labelled with its distance, as a multiple of the median of data held out.
    """
    order = found.nearest["features"].distance[:, 0].argsort()[:rows].tolist()
    unit = float(found.unseen["features"].median()) if len(found.unseen["features"]) else 1.0
    blank = torch.full_like(found.samples[:1], GREY)
    tiles, labels = [], []
    for i in order:
        near = [torch.cat([*of_data(train, each.index[i].tolist(), found.seed)]) for each in found.nearest.values()]
        row = torch.cat([found.samples[i : i + 1], blank, near[0], blank, near[1]])
        tiles += list(row.permute(0, 2, 3, 1).contiguous().numpy())
        labels.append(f"{float(found.nearest['features'].distance[i, 0]) / unit:.2f}")
    return contact_sheet(tiles, columns=len(tiles) // len(order), labels=labels)


def _told(pictures: Pictures, progress: Callable[[int, int], None] | None, done: int, total: int) -> Pictures:
    """The same, with progress on the way from `done` to `total`."""
    for part in pictures:
        yield part
        done += len(part)
        if progress is not None:
            progress(done, total)
