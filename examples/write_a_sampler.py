"""A sampler of one's own, and a run sampled with it: python examples/write_a_sampler.py runs/clips

As a module on the Python path it also works by its dotted path: filmgrain sample RUN --sampler mylab.plms
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

import filmgrain
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.denoiser import Denoiser
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.grids import levels
from filmgrain.diffusion.process import alpha, sigma
from filmgrain.samplers import Step, last, per_sample


def nfe(steps: int) -> int:
    return steps


@torch.no_grad()
def sample(denoiser: Denoiser, z: Tensor, levels: Tensor, cond: Cond) -> Iterator[Step]:
    """DDIM towards an eps on the line through the last two, over r = sigma / alpha (Liu et al. 2022, PNDM)."""
    at_data, r = levels.isinf().tolist(), (-levels / 2).exp()
    eps = z
    for i, (t, s) in enumerate(pairwise(levels)):
        x0 = denoiser(z, per_sample(t, z), cond)
        before, eps = eps, (z - alpha(t) * x0) / sigma(t)
        ahead = eps
        if i > 0 and not at_data[i + 1]:
            ahead = eps + (r[i + 1] - r[i]) / (r[i] - r[i - 1]) / 2 * (eps - before)
        z = x0 if at_data[i + 1] else alpha(s) * (z / alpha(t) + (r[i + 1] - r[i]) * ahead)
        yield Step(s, z, x0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    model = filmgrain.load(args.run)
    device = next(model.parameters()).device
    z = Draw(seed=0, n=(0,)).normal("start", torch.empty(1, *model.shape, device=device))
    x0 = last(sample(model, z, levels(model.schedule, args.steps, device=device), Cond()))
    filmgrain.save_video(model.codec.decode(x0)[0].clamp(-1, 1).cpu(), "own_sampler.gif", fps=8)
    print(f"own_sampler.gif: {nfe(args.steps)} evaluations of the network")


if __name__ == "__main__":
    main()
