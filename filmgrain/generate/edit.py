"""What a model makes of data that are there already: noise taken away, variations, and the way from one to another.

All start at a finite level rather than at pure noise: z = alpha x0 + sigma eps there, made from the data.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from ..diffusion.process import alpha, diffuse
from ..model import DiffusionModel
from ..samplers import Step, per_sample
from ..samplers.ddim import invert
from .sampling import Config, denoiser_of, walk_from
from .videos import finished


def level_of(sigma: float) -> float:
    """The log-SNR at which x + sigma eps stands, x in [-1, 1]: there z = alpha (x + sigma eps), of noise alpha sigma.

    So Gaussian noise of any known strength is a level of the model. Raises ValueError unless sigma > 0.
    """
    if not sigma > 0:
        raise ValueError(f"sigma={sigma} is no noise; give its standard deviation, above 0")
    return -2 * math.log(sigma)


@torch.no_grad()
def denoise(
    model: DiffusionModel,
    noisy: Float[Tensor, "b *chw"],
    sigma: float,
    *,
    config: Config | None = None,
    seed: int = 0,
    mean: bool = True,
    cond: Cond | None = None,
) -> Float[Tensor, "b *chw"]:
    """Data in [-1, 1] from noisy = x + sigma eps.

    mean: E[x | noisy], one evaluation, of least squared error and therefore smooth; else a sample of p(x | noisy), as
    sharp as the data, by the sampler of config from that level on (a deterministic one has the one x that flows there).
    For a codec of pixels.
    """
    config, level = config or Config(), torch.tensor(level_of(sigma))
    z = alpha(level) * noisy
    if mean:
        denoiser = denoiser_of(model, config, len(z), conditional=cond is not None)
        x0 = denoiser(z, per_sample(level, z), cond or model.null(len(z)))
        return finished(iter([Step(level, x0, x0)])).clamp(-1, 1)
    levels = levels_from(model, config, level.item())
    return finished(walk_from(model, z, levels, range(len(z)), config, seed, cond)).clamp(-1, 1)


@torch.no_grad()
def vary(
    model: DiffusionModel,
    x: Float[Tensor, "b *chw"],
    logsnr: float,
    *,
    config: Config | None = None,
    seed: int = 0,
    cond: Cond | None = None,
) -> Float[Tensor, "b *chw"]:
    """Image-to-image (Meng et al. 2022, SDEdit): noise is added up to a level, and sampled away again.

    What is smaller than that level's noise is made anew, what is larger stays. x and what is made of it are in [-1, 1].
    """
    config, x0 = config or Config(), model.codec.encode(x)
    levels = levels_from(model, config, logsnr)
    ids = range(len(x))
    eps = Draw(seed, tuple(ids)).normal("start", x0)
    z = diffuse(x0, eps, per_sample(levels[0], x0))
    return model.codec.decode(finished(walk_from(model, z, levels, ids, config, seed, cond))).clamp(-1, 1)


@torch.no_grad()
def between(
    model: DiffusionModel,
    a: Float[Tensor, "*chw"],
    b: Float[Tensor, "*chw"],
    count: int,
    *,
    logsnr: float | None = None,
    config: Config | None = None,
    cond: Cond | None = None,
) -> Float[Tensor, "count *chw"]:
    """`count` data from a to b, both in [-1, 1]: DDIM takes them to noise, and what lies between there back to data.

    The way goes along the sphere on which noise lies (Song et al. 2021, sec. 5.3). logsnr: the level to which they are
    taken, the schedule's last by default; nearer to the data, a and b themselves shine through more. Both directions
    walk the same levels, so that the ends come back as they were, up to the steps' error.
    """
    if count < 2:
        raise ValueError(f"count={count}: give 2 or more, as both ends are among them")
    config = replace(config or Config(), sampler="ddim", options={})
    x0 = model.codec.encode(torch.stack([a, b]))
    start = config.grid_of(model.schedule)[0].item() if logsnr is None else logsnr
    levels = levels_from(model, config, start)
    two = None if cond is None else cond.expand(2)
    denoiser = denoiser_of(model, config, 2, conditional=cond is not None)
    ends = finished(invert(denoiser, x0, levels.flip(0), two or model.null(2)))
    return from_noises(model, sphere(ends[0], ends[1], count), levels, config, cond)


@torch.no_grad()
def between_noises(
    model: DiffusionModel, seed: int, pair: tuple[int, int], count: int, *, config: Config | None = None
) -> Float[Tensor, "count *chw"]:
    """From sample number pair[0] of a seed to number pair[1], by DDIM from what lies between their noises."""
    config = replace(config or Config(), sampler="ddim", options={})
    like = torch.empty(2, *model.shape, device=next(model.parameters()).device)
    a, b = Draw(seed, pair).normal("start", like)
    return from_noises(model, sphere(a, b, count), config.grid_of(model.schedule), config, None)


def from_noises(
    model: DiffusionModel,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    config: Config,
    cond: Cond | None,
) -> Float[Tensor, "b *chw"]:
    each = None if cond is None else cond.expand(len(z))
    return model.codec.decode(finished(walk_from(model, z, levels, range(len(z)), config, 0, each))).clamp(-1, 1)


def sphere(a: Float[Tensor, "*chw"], b: Float[Tensor, "*chw"], count: int) -> Float[Tensor, "count *chw"]:
    """Points at even angles from a to b: sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b, w the angle between them."""
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)
    angle = cosine.clamp(-1, 1).acos().clamp(1e-4, math.pi - 1e-4)
    t = torch.linspace(0, 1, count, device=a.device).reshape(-1, *(1,) * a.ndim)
    return (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()


def levels_from(model: DiffusionModel, config: Config, logsnr: float) -> Float[Tensor, " levels"]:
    """`logsnr`, and those levels of config's grid that are nearer to the data."""
    grid = config.grid_of(model.schedule)
    if not logsnr >= grid[0] - 1e-4:
        raise ValueError(
            f"log-SNR {logsnr:.2f} is noisier than the schedule's last level, {grid[0]:.2f}; use that or more"
        )
    return torch.cat([torch.tensor([logsnr]), grid[grid > logsnr + 1e-4]])
