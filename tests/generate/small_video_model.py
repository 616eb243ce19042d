"""A small model of clips whose every parameter is away from zero, so that something differs between samples."""

import torch

from filmgrain.autoencoders import pixels
from filmgrain.conditioning import label
from filmgrain.diffusion.schedules import Cosine
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import unet3d

SHAPE = (3, 3, 8, 12)


def model_of(schedule=None, shape=SHAPE, classes=0):
    torch.manual_seed(0)
    network = unet3d.Network(unet3d.Config(width=8, mults=(1, 2), heads=2, head_width=8, condition=8 if classes else 0))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    names = tuple(map(str, range(classes)))
    conditioners = {"label": label.Conditioner(label.Config(names=names), vector=8)} if classes else None
    codec = pixels.Codec(pixels.Config())
    return DiffusionModel(network, codec, Diffusion(schedule=schedule or Cosine()), shape, conditioners)
