"""A small smooth network, and denoisers made of it by every prediction."""

import torch
from torch import Tensor, nn

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.prediction import PREDICTIONS
from filmgrain.diffusion.process import alpha_sigma

CLIP = (3, 2, 4, 6)  # c f h w, not square


class Network(nn.Module):
    """Mixes channels, knows the frames' mean, is moved by the condition's vector (b, 2), and is not linear."""

    def __init__(self, seed=0):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        root = torch.randn(3, 3, generator=rng)
        self.mix = nn.Parameter(0.2 * root @ root.T + 0.3 * torch.eye(3))  # as of a covariance, so that x0 rises with z
        self.listen = nn.Parameter(0.5 * torch.randn(2, 3, generator=rng))

    def forward(self, z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:
        h = torch.einsum("bc...,cd->bd...", z + 0.2 * z.mean(dim=2, keepdim=True), self.mix.to(z))
        if cond.vector is not None:
            h = h + (cond.vector.to(z) @ self.listen.to(z)).reshape(len(z), 3, *(1,) * (z.ndim - 2))
        return torch.tanh(h)


class Toy:
    """A denoiser of the network, and how often it was called, with how many samples."""

    def __init__(self, prediction="v", seed=0):
        self.network, self.prediction, self.calls = Network(seed), PREDICTIONS[prediction], []

    def __call__(self, z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:
        self.calls.append(len(z))
        return self.prediction.to_x0(self.network(z, logsnr, cond), z, *alpha_sigma(logsnr, z))


def batch(count=2, shape=CLIP, seed=0, dtype=torch.float32):
    """z, logsnr and a condition."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, *shape, generator=rng, dtype=dtype)
    return z, torch.linspace(-1, 1, count, dtype=dtype), Cond(vector=torch.randn(count, 2, generator=rng, dtype=dtype))
