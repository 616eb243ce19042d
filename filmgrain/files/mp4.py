"""An MP4 that any player shows: H.264 (MPEG-4 part 2 where that is missing), yuv420p in BT.709, index first."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace

# Quality: 0 is lossless, 18 looks it. Without `cpu-independent` 2 % of encodings of the same frames differ.
X264 = {"crf": "12", "x264-params": "cpu-independent=1"}
BT709 = 1  # primaries, transfer and matrix of ISO 23091-4, all three
LIMITED = 1  # luma from 16 to 235, as players expect
EXACT = 0x4 | 0x2000 | 0x40000  # SWS_BICUBIC, _FULL_CHR_H_INT, _ACCURATE_RND


def write(path: Path, frames: np.ndarray, fps: float, recipe: dict[str, Any] | None = None) -> None:
    """`frames` uint8 (f, h, w, 3); an odd height or width gains a row or column that repeats the last."""
    with writing(path, fps, recipe) as add:
        add(frames)


@contextmanager
def writing(path: Path, fps: float, recipe: dict[str, Any] | None = None) -> Iterator[Callable[[np.ndarray], None]]:
    """The same with frames added a part at a time."""
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
        if recipe is not None:
            container.metadata["comment"] = json.dumps(recipe)
        stream = _stream(container, Fraction(fps).limit_denominator(1001))

        def add(frames: np.ndarray) -> None:
            height, width = frames.shape[1:3]
            frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = frames.shape[1:3]
            for frame in frames:
                image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
                image = image.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation=EXACT)
                container.mux(stream.encode(image))

        yield add
        container.mux(stream.encode(None))


def _stream(container: av.container.OutputContainer, rate: Fraction) -> av.VideoStream:
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=rate, options=X264)
    else:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "2"})
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.thread_count = 1  # the same bytes whatever the number of cores
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    return stream
