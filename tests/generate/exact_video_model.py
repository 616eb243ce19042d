"""A model that is exactly right: every channel is a Gaussian video of its own, so that channels are samples."""

import torch

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.autoencoders import pixels
from filmgrain.diffusion.schedules import Cosine
from filmgrain.generate.conditional import Conditional
from filmgrain.generate.sampling import Config
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel

STD, RHO = 0.15, 0.9
EXACTLY = Conditional(method="covariance", noise=0.0, iterations=12)
FINE = Config(sampler="dpmpp_2m", steps=20, grid="logsnr", threshold="none")


class Exact(torch.nn.Module):
    def __init__(self, data):
        super().__init__()
        self.data = data
        self.place = torch.nn.Parameter(torch.zeros(()))  # where the model is

    def forward(self, z, logsnr, cond):
        b, c, *size = z.shape
        x0 = self.data(z.reshape(b * c, -1), logsnr.repeat_interleave(c), cond)
        return x0.reshape(b, c, *size)


def law(*shape):
    """Neighbours along every axis are alike, RHO^distance: a Markov chain along each."""
    covariance = torch.ones(1, 1, dtype=torch.float64)
    for n in shape:
        covariance = torch.kron(covariance, Gaussian.ar1(n, RHO).covariance)
    return Gaussian(torch.zeros(len(covariance), dtype=torch.float64), STD**2 * covariance)


def exact_model(samples, *shape):
    """Of (samples, f, h, w); the schedule is where data of this deviation are on the way."""
    schedule = Cosine(shift=-2 * torch.tensor(STD).log().item())
    process = Diffusion(prediction="x0", schedule=schedule)
    return DiffusionModel(Exact(law(*shape)), pixels.Codec(pixels.Config()), process, (samples, *shape))


def truth(samples, *shape, seed=0):
    """(samples, f, h, w)"""
    return law(*shape).draw(samples, torch.Generator().manual_seed(seed)).float().reshape(samples, *shape)


def covariance(x):
    """Of (samples, ...) in units of the data's variance."""
    flat = x.flatten(1).double() / STD
    return flat.T @ flat / len(flat)
