"""Cuts long videos into short clips: python examples/cut_clips.py OUT VIDEO ... [--seconds 2] [--side 96]

One model learns best from many short clips of one kind. Writes OUT/NAME-000.mp4 ...; says what it could not read.
"""

import argparse
from pathlib import Path

import numpy as np

from filmgrain.files.encode import write_mp4
from filmgrain.files.video import Unreadable, read


def cut(video: Path, out: Path, seconds: float, side: int) -> int:
    """Writes the clips of a video and returns how many; the shorter side becomes `side` pixels."""
    clip = read(video, size=lambda h, w: (round(h * side / min(h, w)), round(w * side / min(h, w))))
    fps = clip.fps
    length = max(2, round(seconds * fps))
    pieces = [clip.frames[start : start + length] for start in range(0, len(clip.frames), length)]
    pieces = [piece for piece in pieces if len(piece) == length] or [clip.frames]
    for number, piece in enumerate(pieces):
        write_mp4(out / f"{video.stem}-{number:03d}.mp4", np.ascontiguousarray(piece), fps)
    return len(pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a clip")
    parser.add_argument("--side", type=int, default=96, help="pixels of the shorter side")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for video in args.videos:
        try:
            print(f"{video.name}: {cut(video, args.out, args.seconds, args.side)} clips")
        except Unreadable as error:
            print(f"left out: {error}")


if __name__ == "__main__":
    main()
