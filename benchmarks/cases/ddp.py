"""denoising-diffusion-pytorch's Unet, and ddp_unet of the same weights."""

from typing import Any

import torch
from torch import Tensor

from cases import EVALUATIONS, Timed

first = "peer"


def batch(size: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """z and steps, the same in every process."""
    z = torch.randn(size["batch"], 3, size["side"], size["side"], generator=torch.Generator().manual_seed(1))
    return z, torch.arange(size["batch"]) % EVALUATIONS


def peer(size: dict[str, Any]) -> Timed:
    """As its Trainer does it, but for gradients over two batches: prediction v, Adam, its norm kept to 1."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    network = Unet(dim=size["width"], dim_mults=tuple(size["mults"]))
    diffusion = GaussianDiffusion(network, image_size=size["side"], timesteps=EVALUATIONS)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-5, betas=(0.9, 0.99))
    z, steps = batch(size)
    x = z.clamp(-1, 1) / 2 + 0.5

    def step() -> None:
        diffusion(x).backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return Timed(network, lambda: network(z, steps), step, lambda: diffusion.sample(batch_size=size["batch"]))


def ours(size: dict[str, Any], precision: str, **training: Any) -> Timed:
    from cases.ours import timed
    from filmgrain.diffusion.cond import Cond
    from filmgrain.diffusion.tables import SigmoidBeta
    from filmgrain.model import Config as Diffusion
    from filmgrain.networks.ddp_unet import Config, Network

    mults = tuple(size["mults"])
    network = Network(Config(width=size["width"], mults=mults, attention=(len(mults) - 1,)))
    z, steps = batch(size)
    return timed(
        network,
        Diffusion(prediction="v", schedule=SigmoidBeta(steps=EVALUATIONS)),
        z.clamp(-1, 1),
        lambda: network(z, steps, Cond()),
        precision,
        sampler={"sampler": "ddpm", "grid": "table"},
        **training,
    )


def shared(side: str, tensors: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """Weights or gradients by our names."""
    if side == "ours":
        return tensors
    from filmgrain.interop.denoising_diffusion_pytorch import config_of, convert

    return convert(tensors, config_of(tensors))
