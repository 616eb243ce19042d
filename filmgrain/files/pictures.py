"""Stills and animations, decoded by Pillow: GIF, WebP, PNG and APNG, JPEG, BMP, TIFF, AVIF."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import extent
from .clip import Info
from .delays import UNSAID, delays

ORIENTATION = 0x0112  # EXIF tag; 1 is upright, 5 to 8 exchange height and width
LARGEST = 1 << 30  # bytes of a file, which is read whole

RGB = tuple[int, int, int]


def whole(file: BinaryIO) -> BytesIO:
    """All of a file in memory: its blocks are passed over more than once, in steps of a few bytes."""
    size = file.seek(0, os.SEEK_END)
    if size > LARGEST:
        raise ValueError(f"has {size:,} bytes; a picture or animation may have {LARGEST:,}; make a video of it")
    file.seek(0)
    return BytesIO(file.read())


@contextmanager
def opened(file: BinaryIO, kind: str) -> Iterator[Image.Image]:
    """The file in Pillow, which may only use the decoder of this kind."""
    extent.check(file, kind)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes, for which there is the budget
        try:
            image = Image.open(file, formats=[kind])
        except UnidentifiedImageError:
            raise ValueError(f"begins as {kind}, but its header is damaged") from None
        except Image.DecompressionBombError:
            raise ValueError("has far more pixels than a frame may have; scale it to a smaller size") from None
        with image:
            yield image


def info(file: BytesIO, kind: str) -> Info:
    """Read from headers. The duration of an AVIF takes all frames to last as long as the first."""
    with opened(file, kind) as image:
        width, height = image.size
        if kind != "tiff" and image.getexif().get(ORIENTATION, 1) in range(5, 9):  # Pillow turns a TIFF by itself
            width, height = height, width
        shown = _delays(file, image, kind)
    return Info(len(shown), height, width, sum(shown) if len(shown) > 1 else 0.0)


def count(file: BytesIO, kind: str) -> int:
    """The number of frames; only an AVIF is decoded for it."""
    with opened(file, kind) as image:
        return len(_delays(file, image, kind))


def frames(file: BytesIO, kind: str, background: RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image, which is as it is until the next is asked for."""
    start, upright = 0.0, None
    with opened(file, kind) as image:
        count = len(_delays(file, image, kind))
        # An APNG can begin with a picture that is not of the animation, for programs that know only PNG.
        first = 1 if count > 1 and image.info.get("default_image") else 0
        for index in range(first, first + count):
            image.seek(index)
            image.load()
            if upright is None:  # asked once, and not before pixels are there: a PNG may say it behind them
                upright = image.getexif().get(ORIENTATION, 1) == 1
            length = image.info.get("duration", 0) / 1000 or UNSAID
            yield start, length, rgb(image if upright else ImageOps.exif_transpose(image), background)
            start += length


def _delays(file: BytesIO, image: Image.Image, kind: str) -> list[float]:
    """Seconds of each frame. The further pictures of a TIFF or JPEG are pages, not frames."""
    if kind in ("jpeg", "bmp", "tiff"):
        return [0.0]
    if kind == "avif":
        image.load()  # for the duration
        return [image.info.get("duration", 0) / 1000 or UNSAID] * getattr(image, "n_frames", 1)
    return delays(file.getvalue(), kind) or [0.0]


def rgb(image: Image.Image, background: RGB = (255, 255, 255)) -> Image.Image:
    """`image` of any mode as 8-bit RGB, what is transparent showing `background`."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # Pillow's own conversion clips at 255
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range; save it with 8 or 16 bits a channel")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB")
