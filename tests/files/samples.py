"""Real files of every container, made here: a disc that moves over a gradient."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

VIDEOS = {  # name: (format, codec, pixel format)
    "h264.mp4": ("mp4", "libx264", "yuv420p"),
    "h265.mp4": ("mp4", "libx265", "yuv420p"),
    "mpeg4.m4v": ("mp4", "mpeg4", "yuv420p"),
    "h264.mov": ("mov", "libx264", "yuv420p"),
    "h264.mkv": ("matroska", "libx264", "yuv420p"),
    "ffv1.mkv": ("matroska", "ffv1", "bgra"),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p"),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p"),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p"),
    "mpeg2.mpg": ("mpeg", "mpeg2video", "yuv420p"),
    "h264.ts": ("mpegts", "libx264", "yuv420p"),
    "flv1.flv": ("flv", "flv", "yuv420p"),
    "msmpeg4.wmv": ("asf", "msmpeg4v2", "yuv420p"),
    "vp8.ogv": ("ogg", "libvpx", "yuv420p"),
}
ANIMATIONS = {"a.gif": "GIF", "a.webp": "WEBP", "a.png": "PNG", "a.avif": "AVIF"}
STILLS = {"s.jpg": "JPEG", "s.png": "PNG", "s.bmp": "BMP", "s.tiff": "TIFF", "s.webp": "WEBP", "s.avif": "AVIF"}


def disc(frames: int = 10, height: int = 48, width: int = 64) -> np.ndarray:
    row, column = np.mgrid[:height, :width]
    clip = np.empty((frames, height, width, 3), np.uint8)
    clip[:] = np.stack([row * 2 + 60, column + 80, row + column], axis=-1)
    for frame in range(frames):
        clip[frame][np.hypot(row - height / 2, column - width / 4 - 2 * frame) < height / 5] = (240, 200, 30)
    return clip


def make_video(path: Path, clip: np.ndarray, form: str, codec: str, pixels: str, rate: int = 25) -> Path:
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], pixels
        stream.codec_context.thread_count = 1
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    return path


def make_pictures(path: Path, clip: np.ndarray, form: str, **options: object) -> Path:
    first, *rest = (Image.fromarray(frame) for frame in clip)
    more = {"save_all": True, "append_images": rest, "duration": 40} if rest else {}
    first.save(path, form, **more | options)
    return path
