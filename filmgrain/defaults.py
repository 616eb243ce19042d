"""A recipe for a folder of one's own: data settings from its files, and a network and a pace that the machine can bear.

Change what is suggested here, and nowhere else.
"""

from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

from .conditioning import label
from .data.suggest import suggest
from .diffusion.schedules import Cosine
from .diffusion.weighting import MinSNR
from .generate.sampling import Config as Sampling
from .model import Config as Diffusion
from .networks import unet2d, unet3d
from .recipe import Recipe, RecipeError
from .tasks.diffusion import Config as Task
from .training.config import Config as Training
from .training.place import Place

SMALL = unet3d.Config(width=48, heads=4, linear_attention=False, kernel=3, mults=(1, 2, 4))  # for a processor
LARGE = unet3d.Config()  # for a GPU: the network of Ho et al. (2022)
SMALL_2D = unet2d.Config(width=64, mults=(1, 2, 2), attention=(1, 2))
LARGE_2D = unet2d.Config()
QUICK = Training(steps=4_000, lr=1e-3, warmup=100, ema=0.995, save_every=200, validate_every=500, preview_every=500)
THOROUGH = Training(steps=100_000, batch=4, accumulate=4, lr=1e-4, warmup=1_000, ema=0.9995)
# x0 itself is what a small network learns first; and clips repeat themselves so much that what they show is decided at
# levels where one frame is noise (docs/results.md has both in figures).
CLEAN = Diffusion(prediction="x0", schedule=Cosine(logsnr_min=-12.0, logsnr_max=12.0, shift=-3.0))
PICTURES = Diffusion(prediction="v", schedule=Cosine(logsnr_min=-12.0, logsnr_max=12.0))
EVEN = Task(weighting=MinSNR())  # for pictures: what is nearly clean does not outweigh the rest
POSITIONS = 8  # of the shorter side, for a processor, which takes up to 4x4 pixels as one; pictures have twice as many
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
    network, why_network = _network(found.config.shape, place.device.type, len(found.classes))
    images = len(found.config.shape) == 3
    train, diffusion = _training(place.device.type, images)
    train = replace(train, device=device)
    recipe = Recipe(
        data=found.config,
        network=network,
        conditions={"label": label.Config(names=found.classes)} if network.condition else {},
        diffusion=diffusion,
        task=EVEN if images else Task(),
        train=train,
        sample=Sampling(fps=found.fps),
    )
    why_train = f"train.steps={train.steps}, batch={train.batch}: for a first result on {place.device.type}"
    return recipe, [*found.reasons, why_network, why_train]


def _training(device: str, images: bool) -> tuple[Training, Diffusion]:
    if device != "cpu":
        return (replace(THOROUGH, batch=64, accumulate=1) if images else THOROUGH), Diffusion()
    return (replace(QUICK, batch=32), PICTURES) if images else (QUICK, CLEAN)


def _network(shape: tuple[int, ...], device: str, classes: int = 0) -> tuple[unet2d.Config | unet3d.Config, str]:
    """By the kind of device, not by its memory; with no more levels than the size has room for."""
    side, small, images = min(shape[-2:]), device == "cpu", len(shape) == 3
    config: unet2d.Config | unet3d.Config = SMALL if small else LARGE
    positions = POSITIONS
    if images:
        config, positions = SMALL_2D if small else LARGE_2D, 2 * POSITIONS
    patch = 2 ** min(2, max(0, int(log2(side / positions)))) if small else 1
    levels = max(1, 1 + int(log2(max(1, side // patch // COARSEST))))
    fitting: dict[str, Any] = {"channels": shape[0], "patch": patch, "mults": config.mults[:levels]}
    if isinstance(config, unet2d.Config):
        fitting["attention"] = tuple(level for level in config.attention if level < levels)
    config = replace(config, **fitting, condition=config.width if classes > 1 else 0)
    why = f"network.width={config.width}, mults={list(config.mults)}, patch={patch}: for {side} pixels on {device}"
    return config, why + (f"; condition={config.width}: for {classes} classes" if config.condition else "")
