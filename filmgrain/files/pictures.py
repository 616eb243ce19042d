"""Stills and animations, decoded by Pillow: GIF, WebP, PNG and APNG, JPEG, BMP, TIFF, AVIF."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import extent
from .clip import Info
from .delays import UNSAID, delays

ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange height and width

RGB = tuple[int, int, int]


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


def info(file: BinaryIO, kind: str) -> Info:
    """Read from headers. The duration of an AVIF takes all frames to last as long as the first."""
    with opened(file, kind) as image:
        width, height = image.size
        if kind != "tiff" and image.getexif().get(ORIENTATION, 1) >= 5:  # Pillow turns a TIFF by itself
            width, height = height, width
        shown = _delays(file, image, kind)
    return Info(len(shown), height, width, sum(shown) if len(shown) > 1 else 0.0)


def count(file: BinaryIO, kind: str) -> int:
    """The number of frames; only an AVIF is decoded for it."""
    with opened(file, kind) as image:
        return len(_delays(file, image, kind))


def frames(file: BinaryIO, kind: str, background: RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image."""
    start = 0.0
    with opened(file, kind) as image:
        count = len(_delays(file, image, kind))
        # An APNG can begin with a picture that is not of the animation, for programs that know only PNG.
        first = 1 if count > 1 and image.info.get("default_image") else 0
        for index in range(first, first + count):
            image.seek(index)
            image.load()
            length = image.info.get("duration", 0) / 1000 or UNSAID
            yield start, length, rgb(ImageOps.exif_transpose(image), background)
            start += length


def _delays(file: BinaryIO, image: Image.Image, kind: str) -> list[float]:
    """Seconds of each frame. The further pictures of a TIFF or JPEG are pages, not frames."""
    if kind in ("jpeg", "bmp", "tiff"):
        return [0.0]
    if kind == "avif":
        image.load()  # for the duration
        return [image.info.get("duration", 0) / 1000 or UNSAID] * getattr(image, "n_frames", 1)
    position = file.tell()
    found = delays(file, kind)
    file.seek(position)  # Pillow goes on reading from where it was
    return found or [0.0]


def rgb(image: Image.Image, background: RGB = (255, 255, 255)) -> Image.Image:
    """`image` of any mode as 8-bit RGB, what is transparent showing `background`."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # Pillow's own conversion clips at 255
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no agreed range; save it with 8 or 16 bits a channel")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image).convert("RGB")
