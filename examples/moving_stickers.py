"""Turns pictures with transparency into short GIFs in which they move: python examples/moving_stickers.py OUT FOLDER

Each picture hops, sways, spins, grows or slides over a plain background of its own. Emoji make a good folder.
"""

import argparse
import math
import random
from pathlib import Path

import numpy as np
from PIL import Image

from filmgrain.files.encode import write_gif

BACKGROUNDS = ((255, 255, 255), (255, 236, 179), (200, 230, 255), (215, 245, 215), (250, 215, 225))


def poses(t: float) -> dict[str, tuple[float, float, float, float]]:
    """(dx, dy, degrees, scale) of each endless motion at t in [0, 1); dx and dy in widths of the picture."""
    wave = math.sin(2 * math.pi * t)
    return {
        "hop": (0, -0.35 * abs(wave), 0, 1),
        "sway": (0.1 * wave, 0, -20 * wave, 1),
        "spin": (0, 0, -360 * t, 1),
        "grow": (0, 0, 0, 1 + 0.3 * wave),
        "slide": (0.35 * wave, 0, 0, 1),
    }


def animate(picture: Image.Image, motion: str, background: tuple[int, int, int], side: int) -> np.ndarray:
    clip = []
    for i in range(8):
        dx, dy, degrees, scale = poses(i / 8)[motion]
        width = round(0.55 * side * scale)
        sticker = picture.convert("RGBA").resize((width, width)).rotate(degrees, Image.Resampling.BICUBIC)
        frame = Image.new("RGBA", (side, side), (*background, 255))
        x, y = (round(side * (0.5 + 0.55 * d) - width / 2) for d in (dx, dy))
        frame.alpha_composite(sticker, (max(0, x), max(0, y)))
        clip.append(np.asarray(frame.convert("RGB")))
    return np.stack(clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("pictures", type=Path, help="folder of PNGs")
    parser.add_argument("--side", type=int, default=32, help="pixels of the clips")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.pictures.glob("*.png")):
        rng = random.Random(path.name)
        motion, background = rng.choice([*poses(0)]), rng.choice(BACKGROUNDS)
        write_gif(
            args.out / f"{path.stem}-{motion}.gif", animate(Image.open(path), motion, background, args.side), fps=8
        )


if __name__ == "__main__":
    main()
