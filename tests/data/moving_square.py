"""Clips whose content is known, a bright square that moves right at a known speed, and writers that files/ has not."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

DARK = 40


def moving(frames: int, height: int = 24, width: int = 32, *, step: float = 1.0, tint: int = 255) -> np.ndarray:
    """uint8 (f, h, w, 3): the left edge of an 8-pixel square is at step * frame (mod width)."""
    clip = np.full((frames, height, width, 3), DARK, np.uint8)
    for f in range(frames):
        columns = (int(step * f) + np.arange(8)) % width
        clip[f, 4:12, columns] = (tint, 200, 90)
    return clip


def write_webp(path: Path, clip: np.ndarray, fps: float) -> None:
    first, *rest = [Image.fromarray(frame) for frame in clip]
    first.save(path, "WEBP", save_all=True, append_images=rest, duration=round(1000 / fps), lossless=True)


def write_webm(path: Path, clip: np.ndarray, fps: int) -> None:
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=fps)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_frames(folder: Path, clip: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for f, frame in enumerate(clip, 1):
        Image.fromarray(frame).save(folder / f"frame_{f}.png")
