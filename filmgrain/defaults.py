"""A recipe for a folder of one's own: data settings from its files, and a network and a pace that the machine can bear.

Change what is suggested here, and nowhere else.
"""

from dataclasses import replace
from math import log2
from pathlib import Path

from .data.suggest import suggest
from .diffusion.schedules import Cosine
from .generate.sampling import Config as Sampling
from .model import Config as Diffusion
from .networks import unet3d
from .recipe import Recipe, RecipeError
from .training.config import Config as Training
from .training.place import Place

SMALL = unet3d.Config(width=48, heads=4, linear_attention=False, kernel=3, mults=(1, 2, 4))  # for a processor
LARGE = unet3d.Config()  # for a GPU: the network of Ho et al. (2022)
QUICK = Training(steps=4_000, lr=1e-3, warmup=100, ema=0.995, save_every=200, validate_every=500, preview_every=500)
THOROUGH = Training(steps=100_000, batch=4, accumulate=4, lr=1e-4, warmup=1_000, ema=0.9995)
# x0 itself is what a small network learns first; and clips repeat themselves so much that what they show is decided at
# levels where one frame is noise (docs/results.md has both in figures).
CLEAN = Diffusion(prediction="x0", schedule=Cosine(logsnr_min=-12.0, logsnr_max=12.0, shift=-3.0))
POSITIONS = 8  # positions of the shorter side that a processor can bear at least; it takes up to 4x4 pixels as one
COARSEST = 2  # positions of the shorter side that the coarsest level keeps


def for_folder(folder: str | Path, *, device: str = "auto") -> Recipe:
    """The recipe that `filmgrain train FOLDER` begins with, for the device that becomes train.device.

    Raises data.NoData.
    """
    return explained(folder, device=device)[0]


def explained(folder: str | Path, *, device: str = "auto") -> tuple[Recipe, list[str]]:
    """The same, and a line of reason for each choice."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{str(folder)!a} has bytes that are no text; rename it, since a recipe is text") from None
    found = suggest(str(folder))
    place = Place.choose(device, "auto")
    network, why_network = _network(found.config.shape, place.device.type)
    train, diffusion = (QUICK, CLEAN) if place.device.type == "cpu" else (THOROUGH, Diffusion())
    train = replace(train, device=device)
    recipe = Recipe(
        data=found.config, network=network, diffusion=diffusion, train=train, sample=Sampling(fps=found.fps)
    )
    why_train = f"train.steps={train.steps}, batch={train.batch}: for a first result on {place.device.type}"
    return recipe, [*found.reasons, why_network, why_train]


def _network(shape: tuple[int, ...], device: str) -> tuple[unet3d.Config, str]:
    """By the kind of device, not by its memory; with no more levels than the size has room for."""
    side, small = min(shape[-2:]), device == "cpu"
    config = SMALL if small else LARGE
    patch = 2 ** min(2, max(0, int(log2(side / POSITIONS)))) if small else 1
    levels = max(1, 1 + int(log2(max(1, side // patch // COARSEST))))
    config = replace(config, patch=patch, mults=config.mults[:levels])
    why = f"network.width={config.width}, mults={list(config.mults)}, patch={patch}: for {side} pixels on {device}"
    return config, why
