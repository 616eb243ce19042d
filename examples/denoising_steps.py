"""Draws how a sample comes about: python examples/denoising_steps.py runs/clips

A row of z, what the sampler walks on, and a row of x0, what the network takes it for, from noise to data.
"""

import argparse
from pathlib import Path

import numpy as np

import filmgrain
from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png
from filmgrain.files.sheet import contact_sheet
from filmgrain.generate.videos import to_uint8

SHOWN = 8  # steps in a row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--number", type=int, default=0, help="of the sample")
    parser.add_argument("--out", type=Path, default=Path("denoising"), help="path without suffix")
    args = parser.parse_args()

    model = filmgrain.load(args.run)
    config = filmgrain.Sampling(steps=args.steps)
    walk = filmgrain.walk(model, range(args.number, args.number + 1), model.shape, config, seed=0)
    steps = [(to_uint8(step.z.cpu())[0].numpy(), to_uint8(step.x0.cpu())[0].numpy()) for step in walk]
    chosen = np.linspace(0, len(steps) - 1, min(SHOWN, len(steps))).round().astype(int)
    clips = [steps[i][row] for row in (0, 1) for i in chosen]

    sheet = contact_sheet(clips, columns=len(chosen), labels=["z", "x0"])
    write_gif(args.out.with_suffix(".gif"), sheet, fps=8)
    write_png(args.out.with_suffix(".png"), sheet[len(sheet) // 2])
    print(args.out.with_suffix(".gif"), args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
