"""denoising-diffusion-pytorch's Unet, and unet2d of as many parameters: other networks, the same pictures."""

from typing import Any

import torch

from cases import Timed
from cases.ddp import batch, peer

__all__ = ["first", "ours", "peer"]

first = None  # the weights differ


def ours(size: dict[str, Any], precision: str, **training: Any) -> Timed:
    """Of the same width; a block a level on the way down, and the last level narrower: 35,951,747 and 35,711,491."""
    from cases.ours import timed
    from filmgrain.diffusion.cond import Cond
    from filmgrain.model import Config as Diffusion
    from filmgrain.networks.unet2d import Config, Network

    mults = tuple(size["mults"])
    mults = (*mults[:-1], mults[-1] - 1)
    network = Network(Config(width=size["width"], mults=mults, attention=(len(mults) - 1,), blocks=1))
    z, _ = batch(size)
    logsnr = torch.linspace(-5, 5, len(z))
    return timed(
        network,
        Diffusion(prediction="v"),
        z.clamp(-1, 1),
        lambda: network(z, logsnr, Cond()),
        precision,
        sampler={"sampler": "ddpm"},
        **training,
    )
