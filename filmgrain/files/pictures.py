"""Stills and animations, decoded by Pillow: GIF, WebP, PNG and APNG, JPEG, BMP, TIFF, AVIF."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from .clip import Info

ANIMATED = frozenset({"gif", "webp", "png", "avif"})  # a TIFF's or JPEG's further pictures are pages, not frames
DEFAULT_DELAY = 0.1  # seconds: what browsers make of a frame whose delay is 0
ORIENTATION = 0x0112  # EXIF tag; 5 to 8 exchange height and width

RGB = tuple[int, int, int]


@contextmanager
def opened(file: BinaryIO, kind: str) -> Iterator[Image.Image]:
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes, for which there is the budget
        with Image.open(file, formats=[kind]) as image:
            yield image


def info(file: BinaryIO, kind: str) -> Info:
    with opened(file, kind) as image:
        width, height = image.size
        if kind != "tiff" and image.getexif().get(ORIENTATION, 1) >= 5:
            width, height = height, width
        order = _order(image, kind)
        return Info(len(order), height, width, sum(_delays(image, order)) if len(order) > 1 else 0.0)


def frames(file: BinaryIO, kind: str, background: RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image."""
    start = 0.0
    with opened(file, kind) as image:
        for index in _order(image, kind):
            image.seek(index)
            image.load()
            delay = _delay(image)
            yield start, delay, rgb(ImageOps.exif_transpose(image), background)
            start += delay


def _order(image: Image.Image, kind: str) -> range:
    """The indices of an animation's frames. An APNG can begin with a picture that is not of the animation."""
    if kind not in ANIMATED:
        return range(1)
    first = 1 if image.info.get("default_image") else 0
    return range(first, max(getattr(image, "n_frames", 1), first + 1))


def _delay(image: Image.Image) -> float:
    return image.info.get("duration", 0) / 1000 or DEFAULT_DELAY


def _delays(image: Image.Image, order: range) -> Iterator[float]:
    for index in order:
        image.seek(index)
        image.load()
        yield _delay(image)


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
