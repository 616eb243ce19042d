"""How far reconstruction guidance gets at each noise level, and what weight would be best there.

    python benchmarks/guidance_by_level.py RUN

Held-out clips that bounce or circle, noised to a level, the first half of their frames known. With d the model's error
x^b - x0^b in the other half and g = -(alpha / 2) grad |x^a - x0^a|^2 what guidance adds for w_r = 1, the best weight is
<d, g> / <g, g>. No sampler is in it: z is of q(z | x).
"""

import argparse
from pathlib import Path

import torch
from extension import shapes

import filmgrain
from filmgrain import runs
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.process import diffuse
from filmgrain.generate.conditional import evaluating
from filmgrain.guidance.measurements import Mask
from filmgrain.guidance.reconstruction import Reconstruction

LEVELS = (-14, -12, -10, -9, -8, -7, -6, -5, -4, -2, 0, 2)
WEIGHTS = (1, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--clips", type=int, default=16)
    given = parser.parse_args()
    model, recipe = filmgrain.load(given.run, precision="auto"), runs.recipe_of(given.run)
    clips, captions = shapes(recipe, given.clips, 1)
    x, draw = torch.from_numpy(clips).float() / 127.5 - 1, Draw(0, tuple(range(given.clips)))
    mask = torch.zeros(x.shape[1:], dtype=torch.bool)
    mask[:, : x.shape[2] // 2] = True
    with evaluating(model):
        cond = model.condition({"caption": captions}, draw)
        print("| log-SNR | error | best w_r | " + " | ".join(f"w_r = {w}" for w in ("best", *WEIGHTS)) + " |")
        print("|" + "---|" * (4 + len(WEIGHTS)))
        for level in LEVELS:
            logsnr = torch.full((given.clips,), float(level))
            z = diffuse(x, draw.normal(f"level {level}", x), logsnr)
            plain = model(z, logsnr, cond).detach()
            guided = Reconstruction(model, Mask(mask), x[:, mask])(z, logsnr, cond)
            d, g = ((to - plain)[:, ~mask] for to in (x, guided))
            best = ((d * g).sum() / g.square().sum()).item()
            errors = [(d - w * g).square().mean().sqrt().item() for w in (0, best, *WEIGHTS)]
            cells = " | ".join(f"{error:.3f}" for error in errors[1:])
            print(f"| {level} | {errors[0]:.3f} | {best:.2g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
