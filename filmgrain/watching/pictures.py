"""Pictures as text that a page holds inside: data URIs of bounded size."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from ..files.image import read_image
from ..files.kinds import kind
from ..files.video import Unreadable

SHOWN = frozenset({"png", "gif", "jpeg", "webp"})  # by every browser
SIDE = 1_200  # pixels, the longer side of what is made smaller


def data_uri(path: Path, most: int) -> str | None:
    """A picture as it is, if it has at most so many bytes; else its first frame made smaller; None for no picture."""
    found = kind(path)
    if found in SHOWN and path.stat().st_size <= most:
        return _uri(path.read_bytes(), found)
    try:
        frame = read_image(path, size=_within)
    except Unreadable:
        return None
    return _uri(_smaller(frame, most), "jpeg")


def _within(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _smaller(frame: np.ndarray, most: int) -> bytes:
    """As JPEG, halved until it fits."""
    image = Image.fromarray(frame)
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        if buffer.tell() <= most or max(image.size) < 16:
            return buffer.getvalue()
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)


def _uri(content: bytes, what: str) -> str:
    return f"data:image/{what};base64,{base64.b64encode(content).decode()}"
