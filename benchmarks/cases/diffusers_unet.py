"""diffusers' UNet2DModel as google/ddpm-cifar10-32 has it, and ddpm_unet of the same weights."""

import copy
from typing import Any

import torch
from torch import Tensor

from cases import EVALUATIONS, Timed

first = "ours"  # ddpm_unet can be written as a UNet2DModel; what is read becomes an unet2d
STEPS = 1000
MAKE = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "attention_head_dim": None,
    "norm_num_groups": 32,
    "flip_sin_to_cos": False,
    "freq_shift": 0,
}


def _batch(size: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """z and steps, the same in every process."""
    z = torch.randn(size["batch"], 3, size["side"], size["side"], generator=torch.Generator().manual_seed(1))
    return z, torch.arange(size["batch"]) * (STEPS // size["batch"])


def peer(size: dict[str, Any]) -> Timed:
    """As its example train_unconditional.py does it, without its average of the weights; and its DDPMPipeline."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    network = UNet2DModel(sample_size=size["side"], **MAKE)
    noise = DDPMScheduler(num_train_timesteps=STEPS)
    pipeline = DDPMPipeline(unet=network, scheduler=DDPMScheduler(num_train_timesteps=STEPS))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, betas=(0.95, 0.999), weight_decay=1e-6)
    z, steps = _batch(size)
    x = z.clamp(-1, 1)

    def step() -> None:
        eps, t = torch.randn_like(x), torch.randint(0, STEPS, (len(x),))
        (network(noise.add_noise(x, eps, t), t).sample - eps).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def sample() -> Any:
        return pipeline(batch_size=len(x), num_inference_steps=EVALUATIONS, output_type="np")

    return Timed(network, lambda: network(z, steps).sample, step, sample)


def ours(size: dict[str, Any], precision: str, **training: Any) -> Timed:
    from cases.ours import timed
    from filmgrain.diffusion.cond import Cond
    from filmgrain.diffusion.tables import LinearBeta
    from filmgrain.model import Config as Diffusion
    from filmgrain.networks.ddpm_unet import Config, Network

    network = Network(Config(dropout=0.0))
    z, steps = _batch(size)
    return timed(
        network,
        Diffusion(prediction="eps", schedule=LinearBeta(steps=STEPS)),
        z.clamp(-1, 1),
        lambda: network(z, steps, Cond()),
        precision,
        sampler={"sampler": "ddpm", "grid": "leading"},
        **training,
    )


def shared(side: str, tensors: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """Weights or gradients by their names."""
    if side == "peer":
        return tensors
    from filmgrain.interop.diffusers_unet import to_theirs, unet_of

    filled = copy.deepcopy(network)
    filled.load_state_dict(tensors, strict=False)  # the table of sinusoids is no parameter
    return to_theirs(unet_of(filled, None))
