"""An MP4 that any player shows: H.264 (MPEG-4 part 2 where that is missing), yuv420p, index first."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

CRF = "12"  # H.264 quality: 0 is lossless, 18 looks it


def write(path: Path, frames: np.ndarray, fps: float, recipe: dict[str, Any] | None = None) -> None:
    """`frames` uint8 (f, h, w, 3); odd sizes gain a row or column by repeating the last."""
    _, height, width, _ = frames.shape
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as container:
        if recipe is not None:
            container.metadata["comment"] = json.dumps(recipe)
        rate = Fraction(fps).limit_denominator(1001)
        if "libx264" in av.codecs_available:
            stream = container.add_stream("libx264", rate=rate, options={"crf": CRF, "preset": "medium"})
        else:
            stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "2"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the same bytes on any machine
        stream.codec_context.colorspace = 1
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        stream.codec_context.color_range = ColorRange.MPEG
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
        container.mux(stream.encode(None))
