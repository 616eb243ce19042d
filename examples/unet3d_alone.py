"""The network without the rest: a training loop of one's own in plain PyTorch. python examples/unet3d_alone.py

F = network(z, logsnr, cond) is all there is to it; the loss is a function too. Any size and length goes through.
"""

import argparse

import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.loss import diffusion_loss
from filmgrain.diffusion.prediction import V
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.weighting import Simple
from filmgrain.networks.unet3d import Config, Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()

    torch.manual_seed(0)
    network = Network(Config(channels=1, width=16, mults=(1, 2), heads=2))
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    schedule = Cosine()

    frames, height, width = 5, 12, 14  # none of them need divide by anything
    place = torch.linspace(-1, 1, width) - torch.linspace(-1, 1, frames)[:, None]
    clip = torch.exp(-((4 * place) ** 2))[:, None].expand(frames, height, width) * 2 - 1  # a bar that moves right
    x0 = clip.expand(4, 1, -1, -1, -1)  # b c f h w
    for step in range(args.steps):
        logsnr, eps = schedule(torch.rand(len(x0))), torch.randn_like(x0)
        loss = diffusion_loss(network, V, x0, logsnr, eps, Cond(), weighting=Simple()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step}: loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
