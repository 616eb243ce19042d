"""The cases: a peer's network and ours, one peer a file.

A case has `peer(size)` and `ours(size, place)`, which give a `Timed`, imports the peer inside the first alone, and says
how the tensors of the one are named in the other: `shared(side, tensors)`. `first` makes the weights, the other loads
them; None where the networks differ.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

EVALUATIONS = 4  # of the network in each sample that is timed


@dataclass(frozen=True)
class Timed:
    """One network, and the three things that are timed of it."""

    network: nn.Module
    output: Callable[[], Tensor]  # of the network, for the batch that both sides have
    step: Callable[[], object]  # of training, as its package does it
    sample: Callable[[], object]  # a batch of samples in EVALUATIONS evaluations, by its package's own sampler


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is compared, at which size."""

    module: str  # of cases/
    title: str
    size: dict[str, Any]

    @property
    def code(self) -> ModuleType:
        return importlib.import_module(f"cases.{self.module}")


CASES = {
    "unet3d-32": Case(
        module="video",
        title="`unet3d` of width 32, mults 1, 2, 4; 2 clips of 16x32x32; against video-diffusion-pytorch",
        size={"width": 32, "mults": [1, 2, 4], "frames": 16, "side": 32, "batch": 2},
    ),
    "unet3d-64": Case(
        module="video",
        title="`unet3d` of width 64, mults 1, 2, 4, 8; a clip of 10x64x64; against video-diffusion-pytorch",
        size={"width": 64, "mults": [1, 2, 4, 8], "frames": 10, "side": 64, "batch": 1},
    ),
    "ddpm_unet": Case(
        module="diffusers_unet",
        title="`ddpm_unet`, the network of ddpm_cifar10; 8 pictures of 32x32; against diffusers",
        size={"side": 32, "batch": 8},
    ),
    "ddp_unet": Case(
        module="ddp",
        title="`ddp_unet` of width 64, mults 1, 2, 4, 8; 16 pictures of 32x32; against denoising-diffusion-pytorch",
        size={"width": 64, "mults": [1, 2, 4, 8], "side": 32, "batch": 16},
    ),
    "unet2d": Case(
        module="unet2d",
        title="`unet2d` of as many parameters; 16 pictures of 32x32; against the Unet of denoising-diffusion-pytorch",
        size={"width": 64, "mults": [1, 2, 4, 8], "side": 32, "batch": 16},
    ),
}
