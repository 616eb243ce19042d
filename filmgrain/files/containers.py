"""Videos, decoded by PyAV: MP4 and MOV, Matroska and WebM, AVI, MPEG and their like."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NoReturn

import av
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image

from .clip import Info
from .pictures import RGB, rgb

# The demuxer is chosen by the kind and never guessed, so that a playlist (HLS, concat) named .mp4 is not followed.
DEMUXERS = {
    "mp4": "mov",
    "matroska": "matroska",
    "avi": "avi",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "flv": "flv",
    "asf": "asf",
    "ogg": "ogg",
}
UNSPECIFIED = 2  # colour space of ISO 23091-4: not said
HD_HEIGHT = 720  # rows from which an unspecified colour space is BT.709, below it BT.601
QUARTER_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def _no_other_file(*_: Any) -> NoReturn:
    raise PermissionError("refers to another file")


@contextmanager
def opened(file: BinaryIO, kind: str) -> Iterator[tuple[Any, VideoStream]]:
    """The container and its video, pictures of a cover aside."""
    file.seek(0)
    options = {"protocol_whitelist": "none"}
    with av.open(
        file, "r", format=DEMUXERS[kind], options=options, metadata_errors="replace", io_open=_no_other_file
    ) as c:
        streams = [s for s in c.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise ValueError("has no video, only sound or data")
        stream = streams[0]
        stream.codec_context.thread_count = 1  # loaders decode in many processes already
        yield c, stream


def info(file: BinaryIO, kind: str) -> Info:
    with opened(file, kind) as (container, stream):
        times = sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)
        count = len(times)
        if not count:
            raise ValueError("has no frames")
        width, height = stream.codec_context.width, stream.codec_context.height
        rate = stream.average_rate or stream.guessed_rate or 25
        return Info(count, height, width, float(times[-1] - times[0] + 1 / rate) if count > 1 else 0.0)


def frames(file: BinaryIO, kind: str, background: RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image."""
    with opened(file, kind) as (container, stream):
        usual = float(1 / (stream.average_rate or stream.guessed_rate or 25))
        first = None
        clock = 0.0
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise ValueError("is damaged")
            at = clock if frame.pts is None else float(frame.pts * frame.time_base)
            first = at if first is None else first
            length = float(frame.duration * frame.time_base) if frame.duration else usual
            yield at - first, length, _image(frame, background)
            clock = at + length


def _image(frame: VideoFrame, background: RGB) -> Image.Image:
    space = frame.colorspace
    if space == UNSPECIFIED:
        space = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    if any(component.is_alpha for component in frame.format.components):
        image = rgb(Image.fromarray(frame.to_ndarray(format="rgba")), background)
    else:
        image = Image.fromarray(frame.to_ndarray(format="rgb24", src_colorspace=space))
    turn = QUARTER_TURNS.get(round(frame.rotation) % 360)
    return image.transpose(turn) if turn is not None else image
