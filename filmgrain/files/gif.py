"""An animated GIF, block by block. Pillow merges equal neighbouring frames; here each frame stays a frame."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import GifImagePlugin, Image

MIN_DELAY = 2  # hundredths of a second: browsers show shorter ones as 10
SAMPLE = 1 << 15  # pixels from which a palette is made
VISIBLE = 4.0  # root mean square error in levels of 255 above which one palette for the whole clip shows
AT_ONCE = 1 << 14  # colours compared with the palette at a time; bounds memory to 16 MB


def write(path: Path, frames: np.ndarray, fps: float, recipe: dict[str, Any] | None = None) -> None:
    """`frames` uint8 (f, h, w, 3) as an endless GIF89a, without dithering, which would flicker.

    All frames share one palette, so that what stands still does not change; a clip of too many colours for that has
    a palette for each frame.
    """
    with writing(path, fps, recipe) as add:
        add(frames)


@contextmanager
def writing(path: Path, fps: float, recipe: dict[str, Any] | None = None) -> Iterator[Callable[[np.ndarray], None]]:
    """The same with frames added a part at a time: the palette is that of the first part."""
    with path.open("wb") as file:
        shared, count = None, 0

        def add(frames: np.ndarray) -> None:
            nonlocal shared, count
            if shared is None:
                shared, error = palette_of(frames)
                file.write(_head(frames, fps, shared, recipe))
            else:
                error = _error(_sample(frames), shared)
            own = error > VISIBLE
            ends = np.round(np.arange(count, count + len(frames) + 1) * 100 / fps)  # as a whole: errors do not add up
            count += len(frames)
            for frame, delay in zip(frames, np.maximum(np.diff(ends), MIN_DELAY), strict=True):
                palette = palette_of(frame)[0] if own else shared
                image = Image.fromarray(nearest(frame, palette))
                image.putpalette(palette.tobytes())
                milliseconds = min(int(delay), 0xFFFF) * 10
                data = GifImagePlugin.getdata(image, duration=milliseconds, include_color_table=own, interlace=0)
                file.write(b"".join(data))

        yield add
        file.write(b";")


def _head(frames: np.ndarray, fps: float, shared: np.ndarray, recipe: dict[str, Any] | None) -> bytes:
    _, height, width, _ = frames.shape
    # Logical screen: size, a table of 256 colours for all frames, background colour 0, square pixels.
    parts = [b"GIF89a", width.to_bytes(2, "little"), height.to_bytes(2, "little"), b"\xf7\0\0", shared.tobytes()]
    parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # repeat for ever
    if recipe is not None:
        parts.append(b"\x21\xfe" + _sub_blocks(json.dumps(recipe).encode()))
    return b"".join(parts)


def palette_of(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """256 colours uint8 (256, 3) for uint8 (..., 3), by median cut and k-means; and their root mean square error.

    Pixels of no more than 256 colours get exactly these.
    """
    sample = _sample(pixels)
    image = Image.fromarray(sample[None]).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.pad(colours, ((0, 256 - len(colours)), (0, 0)), mode="edge")
    return palette, _error(sample, palette)


def _sample(pixels: np.ndarray) -> np.ndarray:
    """Some of uint8 (..., 3), from all over it, as (n, 3)."""
    flat = pixels.reshape(-1, 3)
    return np.ascontiguousarray(flat[:: -(-len(flat) // SAMPLE)])


def _error(sample: np.ndarray, palette: np.ndarray) -> float:
    return float(np.sqrt(np.mean((palette[nearest(sample, palette)] - sample.astype(float)) ** 2)))


def nearest(pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Index into `palette` (256, 3) nearest to each of uint8 (..., 3); Pillow's own search is not exact."""
    packed = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    colours, where = np.unique(packed, return_inverse=True)
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.float32)
    table = palette.astype(np.float32)
    # |colour - entry|^2 up to |colour|^2, exact in float32
    found = [((table**2).sum(1) - 2 * part @ table.T).argmin(1) for part in _parts(rgb)]
    return np.concatenate(found).astype(np.uint8)[where].reshape(pixels.shape[:-1])


def _parts(colours: np.ndarray) -> list[np.ndarray]:
    return [colours[at : at + AT_ONCE] for at in range(0, len(colours), AT_ONCE)]


def _sub_blocks(data: bytes) -> bytes:
    """Blocks of at most 255 bytes, each behind its length, and an empty one."""
    pieces = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
