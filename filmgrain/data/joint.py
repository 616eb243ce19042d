"""Clips with images behind their frames, for training on both at once (Ho et al. 2022, sec. 3).

    x of an item: (c, f + count, h, w), the clip's f frames and then the images

An image is a frame of another item, or an item of a dataset of pictures. What items say beside x (a caption, a label)
is a list of 1 + count values here, of the clip and of each image in turn. An image has no pace: where a clip tells its
frames a second and its frame skip, it tells 0.
"""

import random
from itertools import chain
from typing import Any

import numpy as np

from . import Dataset

PLAIN = {"caption": "", "fps": 0.0, "frame_skip": 0}  # of an image of which nothing else is known
OF_THE_WHOLE = ("x", "n", "source")  # keys of a batch that say nothing of a clip and its images one by one


class Joint:
    """A dataset. Its clips are those that would be drawn without images."""

    def __init__(self, clips: Dataset, count: int, pictures: Dataset | None = None) -> None:
        if pictures is None and len(clips) < 2:
            raise ValueError(
                f"{count} images a clip are frames of other clips, and there is one clip; give more, or pictures"
            )
        self.clips, self.count, self.pictures = clips, count, pictures
        if hasattr(clips, "index_of"):  # an order of their own
            self.index_of = clips.index_of
        self.refused = [*getattr(clips, "refused", []), *getattr(pictures, "refused", [])]

    def __len__(self) -> int:
        return len(self.clips)

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        clip = self.clips.item(index, rng)
        parts = [clip, *(self._image(index, rng) for _ in range(self.count))]
        x = np.concatenate([part["x"] for part in parts], axis=1)
        told = {key: [part[key] for part in parts] for key in clip if all(key in part for part in parts)}
        return told | {"x": x, "source": clip["source"]}

    def _image(self, index: int, rng: random.Random) -> dict[str, Any]:
        """What a clip of a single frame would be, x (c, 1, h, w)."""
        if self.pictures is not None:
            picture = self.pictures.item(rng.randrange(len(self.pictures)), rng)
            return PLAIN | picture | {"x": picture["x"][:, None]}
        other = rng.randrange(len(self.clips) - 1)
        clip = self.clips.item(other + (other >= index), rng)
        frame = rng.randrange(clip["x"].shape[1])
        return clip | {key: PLAIN[key] for key in ("fps", "frame_skip")} | {"x": clip["x"][:, frame : frame + 1]}

    def summary(self) -> list[str]:
        of = "frames of other clips" if self.pictures is None else f"of {len(self.pictures):,} pictures"
        more = [] if self.pictures is None else self.pictures.summary()
        return [*self.clips.summary(), f"{self.count} images behind each clip, {of}", *more]


def told(batch: dict[str, Any]) -> dict[str, list[Any]]:
    """What a batch says of each clip and its images in turn: of each key, b (1 + count) values."""
    return {key: list(chain.from_iterable(values)) for key, values in batch.items() if key not in OF_THE_WHOLE}
