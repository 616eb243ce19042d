"""An animated GIF, byte by byte. Pillow merges equal neighbouring frames; here each frame stays a frame."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import GifImagePlugin, Image

MIN_DELAY = 2  # hundredths of a second: browsers show anything shorter as 10
SAMPLE = 1 << 18  # pixels looked at for the palette


def write(path: Path, frames: np.ndarray, fps: float, recipe: dict[str, Any] | None = None) -> None:
    """`frames` uint8 (f, h, w, 3) as an endless GIF89a of one palette."""
    count, height, width, _ = frames.shape
    palette = _palette(frames)
    colours = bytes(palette.getpalette() or []).ljust(768, b"\0")
    # Logical screen: size, a global table of 256 colours, background colour 0, square pixels.
    parts = [b"GIF89a", width.to_bytes(2, "little"), height.to_bytes(2, "little"), b"\xf7\0\0", colours]
    parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # repeat for ever
    if recipe is not None:
        parts += [b"\x21\xfe", *_sub_blocks(json.dumps(recipe).encode())]
    ticks = np.round(np.arange(count + 1) * 100 / fps).astype(int)  # rounded ends, so that errors do not add up
    for frame, delay in zip(frames, np.maximum(np.diff(ticks), MIN_DELAY), strict=True):
        image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        parts += GifImagePlugin.getdata(image, duration=int(delay) * 10, include_color_table=False)
    path.write_bytes(b"".join([*parts, b";"]))


def _palette(frames: np.ndarray) -> Image.Image:
    """The clip's 256 colours: exact if it has no more, or else the median cut of pixels spread over all frames."""
    pixels = frames.reshape(-1, 3)
    pixels = np.ascontiguousarray(pixels[:: max(1, len(pixels) // SAMPLE)])
    return Image.fromarray(pixels[None]).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)


def _sub_blocks(data: bytes) -> list[bytes]:
    """Blocks of at most 255 bytes, each after its length, and an empty one."""
    pieces = [data[at : at + 255] for at in range(0, len(data), 255)]
    return [bytes([len(piece)]) + piece for piece in pieces] + [b"\0"]
