"""Videos, decoded by PyAV: MP4 and MOV, Matroska and WebM, AVI, MPEG and their like."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO, NoReturn

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image

from . import extent
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
MAX_PIXELS = 100_000_000  # of one frame, whatever the header or the middle of the stream says
UNSPECIFIED = 2  # colour space of ISO 23091-4: not said
HD_HEIGHT = 720  # rows from which an unspecified colour space is BT.709, below it BT.601
EXACT = 0x2 | 0x2000 | 0x40000  # SWS_BILINEAR, _FULL_CHR_H_INT, _ACCURATE_RND; without them 1 level too dark
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class Source:
    """The file as PyAV reads it. What a damaged index asks for fails quietly, not with a traceback on the terminal."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.tell, self.file = file.read, file.tell, file

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self.file.seek(offset, whence)
        except (OSError, ValueError):
            return -1


def _no_other_file(*_: Any) -> NoReturn:
    raise PermissionError("refers to another file")


@contextmanager
def opened(file: BinaryIO, kind: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first video; a cover picture of a piece of music is none."""
    extent.check(file, kind)
    file.seek(0)
    closed = {"protocol_whitelist": "none"}
    with av.open(
        Source(file),
        "r",
        format=DEMUXERS[kind],
        container_options=closed,
        metadata_errors="replace",
        io_open=_no_other_file,
    ) as container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise ValueError("has no video, only sound or data")
        stream = streams[0]
        if stream.codec_context is None:
            raise ValueError("has a video of unknown codec")
        stream.codec_context.thread_count = 1  # loaders decode in several processes already
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, stream


def info(file: BinaryIO, kind: str) -> Info:
    """Frames and duration by counting packets, or as an MP4's index says; the size as of the first frame, decoded."""
    with opened(file, kind) as (container, stream):
        if kind == "mp4" and stream.frames and stream.duration and stream.time_base:
            count, duration = stream.frames, float(stream.duration * stream.time_base)
        else:
            times = [p.pts * float(p.time_base or 0) for p in _packets(container, stream) if p.pts is not None]
            count = len(times)
            duration = max(times) - min(times) + _usual_length(stream) if times else 0.0
        width, height = stream.codec_context.width, stream.codec_context.height
    if width * height <= MAX_PIXELS:
        with opened(file, kind) as (container, stream):
            first = next(_decoded(container, stream), None)
            if first is None:
                raise ValueError("has no frames")
            width, height = _image(first, stream, (0, 0, 0)).size
    return Info(max(count, 1), height, width, duration if count > 1 else 0.0)


def frames(file: BinaryIO, kind: str, background: RGB) -> Iterator[tuple[float, float, Image.Image]]:
    """Each frame's start and length in seconds, and its RGB image."""
    with opened(file, kind) as (container, stream):
        origin, last, end = None, -1.0, 0.0
        for frame in _decoded(container, stream):
            tick = float(frame.time_base or 0)  # seconds
            at = None if frame.pts is None else frame.pts * tick
            origin = at if origin is None else origin
            start = end if at is None or origin is None else at - origin
            if start <= last:  # a clock that stands or jumps back
                start = end
            length = frame.duration * tick or _usual_length(stream)
            last, end = start, start + length
            yield start, length, _image(frame, stream, background)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """All packets but empty ones, by which Theora repeats a frame and which a decoder takes for the end."""
    return (packet for packet in container.demux(stream) if packet.size)


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    packets = chain(_packets(container, stream), [None])  # None: whatever the decoder still holds back
    for packet in packets:
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            raise ValueError(f"{stream.codec_context.name} data that cannot be decoded") from None
        if any(frame.is_corrupt for frame in frames):
            raise ValueError("damaged")
        yield from frames


def _usual_length(stream: VideoStream) -> float:
    """Seconds of a frame at the stream's mean rate, where frames do not say it themselves."""
    return float(1 / (stream.average_rate or stream.guessed_rate or 25))


def _image(frame: VideoFrame, stream: VideoStream, background: RGB) -> Image.Image:
    """The frame as it is to be shown: colours, pixel aspect and rotation applied."""
    space = frame.colorspace
    if space == UNSPECIFIED:
        space = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    alpha = any(component.is_alpha for component in frame.format.components)
    array = frame.to_ndarray(format="rgba" if alpha else "rgb24", src_colorspace=space, interpolation=EXACT)
    image = rgb(Image.fromarray(array), background)
    aspect = float(stream.sample_aspect_ratio or 1)
    if 0.02 < abs(aspect - 1) < 3:  # nearly square is meant to be square, and 100 : 1 is damage
        image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.BICUBIC)
    turn = TURNS.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)
