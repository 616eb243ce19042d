"""video-diffusion-pytorch's Unet3D, and unet3d of the same weights."""

from typing import Any

import torch
from torch import Tensor

from cases import EVALUATIONS, Timed

first = "peer"


def _batch(size: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """z and steps, the same in every process."""
    shape = size["batch"], 3, size["frames"], size["side"], size["side"]
    z = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return z, torch.arange(size["batch"]) % EVALUATIONS


def peer(size: dict[str, Any]) -> Timed:
    """As its Trainer does it: loss l1, Adam; and its sampler, of T = EVALUATIONS steps."""
    from video_diffusion_pytorch import GaussianDiffusion, Unet3D

    network = Unet3D(dim=size["width"], dim_mults=tuple(size["mults"]))
    make = {"image_size": size["side"], "num_frames": size["frames"], "timesteps": EVALUATIONS}
    diffusion = GaussianDiffusion(network, **make)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-5)
    z, steps = _batch(size)
    x = z.clamp(-1, 1) / 2 + 0.5

    def step() -> None:
        diffusion(x).backward()
        optimizer.step()
        optimizer.zero_grad()

    return Timed(network, lambda: network(z, steps), step, lambda: diffusion.sample(batch_size=size["batch"]))


def ours(size: dict[str, Any], precision: str, **training: Any) -> Timed:
    from cases.ours import timed
    from filmgrain.diffusion.cond import Cond
    from filmgrain.diffusion.tables import CosineBeta
    from filmgrain.model import Config as Diffusion
    from filmgrain.networks.unet3d import Config, Network

    network = Network(Config(width=size["width"], mults=tuple(size["mults"]), steps=True))
    z, steps = _batch(size)
    return timed(
        network,
        Diffusion(prediction="eps", schedule=CosineBeta(steps=EVALUATIONS)),
        z.clamp(-1, 1),
        lambda: network(z, steps, Cond()),
        precision,
        sampler={"sampler": "ddpm", "grid": "table"},
        distance="l1",
        **training,
    )


def shared(side: str, tensors: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """Weights or gradients by our names."""
    if side == "ours":
        return tensors
    from filmgrain.interop.video_diffusion_pytorch import config_of, convert

    return convert(tensors, config_of(tensors))
