"""What is measured: bytes of data, of samples, or of a folder, some at a time: pictures (b, 3, h, w), or whole clips.

Grey is shown in all three channels. By an extractor of pictures a clip is measured by one of its frames, drawn at
random: frames of one clip are too much alike to be counted as so many pictures.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from ..data import Dataset, NoData
from ..data.loader import Loader
from ..files.folder import pictures_in
from ..files.image import read_image

BATCH = 64
Pictures = Iterator[UInt8[Tensor, "b 3 *fhw"]]
Show = Callable[[UInt8[Tensor, "c *fhw"], int, int], UInt8[Tensor, "3 *fhw"]]  # of (item, seed, number of the item)


def still(x: UInt8[Tensor, "c *fhw"], seed: int, n: int) -> UInt8[Tensor, "3 h w"]:
    """A picture, or the frame of a clip that is drawn for item n."""
    frame = x[:, random.Random(f"{seed}:frame:{n}").randrange(x.shape[1])] if x.ndim == 4 else x
    return frame.expand(3, -1, -1)


def whole(x: UInt8[Tensor, "c f h w"], seed: int, n: int) -> UInt8[Tensor, "3 f h w"]:
    """A clip."""
    return x.expand(3, -1, -1, -1)


def of_data(data: Dataset, draws: Sequence[int], seed: int, show: Show = still) -> Pictures:
    """The items of some draws of the loader; range(n) are the first n of its first epoch, which are all different."""
    loader = Loader(data, batch=1, seed=seed)
    for part in parts(len(draws)):
        yield torch.stack([show(torch.tensor(loader.draw(n)["x"]), seed, n) for n in draws[part]])


def of_samples(samples: Tensor, seed: int, first: int = 0, show: Show = still) -> Pictures:
    """Samples in [-1, 1], (b, c, h, w) or (b, c, f, h, w), rounded to bytes as they are when they are saved.

    first: the number of the first of them.
    """
    for part in parts(len(samples)):
        pixels = ((samples[part] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        yield torch.stack([show(x, seed, n) for n, x in enumerate(pixels, start=first + part.start)])


def of_folder(folder: Path, size: tuple[int, int]) -> Pictures:
    """Every picture of a folder, in the order of their names. Raises NoData for one of another (height, width)."""
    paths = in_folder(folder)
    for part in parts(len(paths)):
        frames = [(path, read_image(path)) for path in paths[part]]
        for path, frame in frames:
            if frame.shape[:2] != size:
                height, width = frame.shape[:2]
                raise NoData(
                    f"{path} is {height}x{width}, but the run's data are {size[0]}x{size[1]}; "
                    "give samples as they were made, and nothing else in their folder"
                )
        yield torch.stack([torch.from_numpy(frame).permute(2, 0, 1) for _, frame in frames])


def in_folder(folder: Path) -> list[Path]:
    """Its pictures, by name, without the sheet and strip of `filmgrain sample`. Raises NoData where there are none."""
    found = [path for path in pictures_in(folder) if path.stem not in ("sheet", "strip")] if folder.is_dir() else []
    if not found:
        raise NoData(f"{folder} holds no pictures; give a folder of samples, such as PNG files")
    return found


def parts(length: int) -> Iterator[slice]:
    return (slice(first, min(first + BATCH, length)) for first in range(0, length, BATCH))
