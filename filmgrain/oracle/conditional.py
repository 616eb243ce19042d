"""What guidance makes of a joint model: frames of a video are known, the rest is to be drawn given them.

On Gaussian data the conditional is known, and everything that a sampler does is linear: in the known frames, in the
noise that it starts from, and in what it adds. So the covariance of what comes out is found without sampling, by
walking a unit vector of each (`propagated`); and it is estimated from samples, as one would have to elsewhere.

Distances are of Frechet (Wasserstein, order 2, squared), in units of a frame's variance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..analytic.gaussian import Gaussian
from ..diffusion import grids
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.schedules import Cosine
from ..guidance.covariance import Covariance
from ..guidance.known import Known
from ..guidance.measurements import Mask
from ..guidance.reconstruction import Reconstruction
from ..rooms import find
from ..samplers import last
from .estimate import Estimate, estimate
from .truths import video
from .walk import Seeds, walk

GIVEN = 8  # frames, the first ones
STEPS = 128  # of the ancestral sampler
GAMMA = 0.0  # of it: the variance with which z keeps to q(z | known), exactly
COUNT = 6000  # samples of each seed
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)  # of guidance, in the curves

Guided = Callable[[Denoiser, Float[Tensor, "b given"]], Denoiser]  # (denoiser, known frames) -> what is sampled


@dataclass(frozen=True)
class Method:
    name: str
    guided: Guided
    sampler: str = "ancestral"
    resamples: int = 1  # of repaint

    @property
    def options(self) -> dict[str, Any]:
        """Of the sampler."""
        gamma = {"gamma": GAMMA}
        if self.sampler == "ancestral":
            return gamma
        resamples = {"resamples": self.resamples} if self.sampler == "repaint" else {}
        return {"predictor_options": gamma, **resamples}

    @property
    def draws(self) -> int:
        """Of noise, in a step: the predictor's, and the corrector's or what undoes all but the last of its steps."""
        return {"ancestral": 1, "langevin": 2, "repaint": 2 * self.resamples - 1}[self.sampler]


@dataclass(frozen=True)
class Distances:
    joint: Estimate  # of known and new frames together from the truth
    mean: Estimate  # of the mean of the new frames given the known ones: E |mean - truth|^2
    covariance: Estimate  # of the covariance of the new frames given the known ones


@dataclass(frozen=True)
class Row:
    method: str
    nfe: int  # calls of the denoiser; guidance differentiates each of them as well
    sampled: Distances  # of COUNT samples: even the truth is then some way off
    exact: Distances  # of infinitely many


@dataclass(frozen=True)
class Curve:
    """The exact joint distance as the scale of guidance grows."""

    method: str
    scales: tuple[float, ...]
    distances: tuple[float, ...]


@dataclass(frozen=True)
class BySteps:
    """The exact joint distance as the steps grow."""

    method: str
    steps: tuple[int, ...]
    distances: tuple[float, ...]


def mask() -> Tensor:
    return torch.arange(len(video().mean)) < GIVEN


def _known(denoiser: Denoiser, known: Tensor) -> Denoiser:
    """The replacement method around a denoiser."""
    whole = torch.nn.functional.pad(known, (0, len(mask()) - GIVEN))
    return Known(denoiser, whole, mask())


def _guided(denoiser: Denoiser, known: Tensor, *, scale: float) -> Denoiser:
    return Reconstruction(denoiser, Mask(mask()), known, scale)


def _both(denoiser: Denoiser, known: Tensor, *, scale: float) -> Denoiser:
    """Known values outermost, as the paper samples."""
    return _known(_guided(denoiser, known, scale=scale), known)


def _covariance(denoiser: Denoiser, known: Tensor) -> Denoiser:
    return _known(Covariance(denoiser, Mask(mask()), known, noise=0.0, iterations=50, tolerance=1e-12), known)


def methods() -> list[Method]:
    scales = (1.0, 2.0, 3.0, 5.0)
    return [
        Method("replacement", _known),
        Method("replacement, + Langevin", _known, "langevin"),
        Method("replacement, + RePaint of 5", _known, "repaint", resamples=5),
        *(Method(f"guidance, w_r = {w:g}", partial(_both, scale=w)) for w in scales),
        *(Method(f"guidance, w_r = {w:g}, + Langevin", partial(_both, scale=w), "langevin") for w in scales[1:3]),
        Method("guidance, w_r = 5, nothing replaced", partial(_guided, scale=5.0)),
        Method("covariance-aware", _covariance),
    ]


def run(
    *, seeds: int = 10, count: int = COUNT, steps: int = STEPS, progress: Callable[[int, int], None] | None = None
) -> list[Row]:
    """A row for each method, and the last for samples of the truth."""
    rows = []
    todo = methods()
    for done, method in enumerate(todo, start=1):
        rows.append(Row(method.name, *sampled(method, seeds, count, steps), exactly(propagated(method, steps))))
        if progress is not None:
            progress(done, len(todo))
    return [*rows, Row("the truth", 0, _floor(seeds, count), exactly(video().covariance))]


def curves(steps: int = STEPS, scales: tuple[float, ...] = SCALES) -> list[Curve]:
    kinds = (
        ("guidance, known frames replaced", _both, "ancestral"),
        ("guidance, known frames replaced, + Langevin", _both, "langevin"),
        ("guidance, nothing replaced", _guided, "ancestral"),
    )
    found = []
    for name, guided, sampler in kinds:
        at = [Method(name, partial(guided, scale=scale), sampler) for scale in scales]
        apart = [exactly(propagated(method, steps)).joint.mean for method in at]
        found.append(Curve(name, scales, tuple(apart)))
    return found


def by_steps(steps: tuple[int, ...] = (16, 64, 256)) -> list[BySteps]:
    found = []
    for method in methods():
        apart = [exactly(propagated(method, count)).joint.mean for count in steps]
        found.append(BySteps(method.name, steps, tuple(apart)))
    return found


def sampled(method: Method, seeds: int, count: int, steps: int) -> tuple[int, Distances]:
    """The calls made, and the distances of samples (known, new), the known frames drawn from the truth."""
    draws, truth = Seeds(seeds, count), video()
    known = torch.cat([truth.draw(count, torch.Generator().manual_seed(seed))[:, mask()] for seed in range(seeds)])
    start = draws.normal("start", torch.empty(seeds * count, len(mask()), dtype=torch.float64))
    levels = grids.levels(Cosine(), steps).double()
    z, nfe = walk(method.sampler, method.guided(truth, known), start, levels, draws.noise, method.options)
    return nfe, _moments(torch.cat([known, z[:, ~mask()]], 1).reshape(seeds, count, -1))


def propagated(method: Method, steps: int = STEPS) -> Float[Tensor, "frames frames"]:
    """The covariance of known and new frames after the walk, without sampling.

    A step is linear in (known frames, z, noise): it is taken at every unit vector of these at once, whose images are
    the rows of its matrix.
    """
    truth, n = video(), len(mask())
    state = torch.block_diag(truth.covariance[mask()][:, mask()], torch.eye(n, dtype=torch.float64))  # of (known, z)
    fresh = torch.eye(method.draws * n, dtype=torch.float64)  # the covariance of the noise
    units = torch.eye(GIVEN + n + len(fresh), dtype=torch.float64)
    known, z, drawn = units.split([GIVEN, n, len(fresh)], dim=1)
    guided, sample = method.guided(truth, known), find("samplers", method.sampler).sample
    levels = grids.levels(Cosine(), steps).double()

    def noise(step: int, like: Tensor) -> Tensor:
        return drawn[:, step * n : (step + 1) * n]

    for i in range(steps):
        arrived = last(sample(guided, z, levels[i : i + 2], Cond(), noise=noise, **method.options))
        image = torch.cat([known, arrived], 1)
        state = image.T @ torch.block_diag(state, fresh) @ image
    kept = torch.cat([torch.arange(GIVEN), GIVEN + torch.arange(GIVEN, n)])  # what was given, and the new frames
    return state[kept][:, kept]


def exactly(covariance: Float[Tensor, "f f"]) -> Distances:
    return distances(covariance[None], torch.zeros(1, len(covariance), dtype=covariance.dtype))


def distances(covariance: Float[Tensor, "seeds f f"], mean: Float[Tensor, "seeds f"]) -> Distances:
    """From the moments of known and new frames, the known ones first."""
    truth = video()
    slope, left = truth.regression(mask())
    parts = [_regression(each) for each in covariance]
    off = torch.stack([part[0] for part in parts]) - slope
    known = truth.covariance[mask()][:, mask()]
    joint = frechet(covariance, truth.covariance) + mean.square().sum(-1)
    return Distances(
        joint=estimate(joint),
        mean=estimate((off @ known @ off.mT).diagonal(dim1=-2, dim2=-1).sum(-1)),
        covariance=estimate(frechet(torch.stack([part[1] for part in parts]), left)),
    )


def _regression(covariance: Tensor) -> tuple[Tensor, Tensor]:
    return Gaussian(torch.zeros(len(covariance), dtype=covariance.dtype), covariance).regression(mask())


def frechet(a: Float[Tensor, "*s n n"], b: Float[Tensor, "n n"]) -> Float[Tensor, "*s"]:
    """tr(a + b - 2 (a^(1/2) b a^(1/2))^(1/2)): the squared Frechet distance of Gaussians of one mean."""
    root = _root(b)
    cross = _root(root @ a @ root)
    return (a + b - 2 * cross).diagonal(dim1=-2, dim2=-1).sum(-1).clamp(min=0)


def _root(covariance: Float[Tensor, "*s n n"]) -> Float[Tensor, "*s n n"]:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()[..., None, :] @ vectors.mT


def _moments(x: Float[Tensor, "seeds b f"]) -> Distances:
    mean = x.mean(1, keepdim=True)
    covariance = (x - mean).mT @ (x - mean) / (x.shape[1] - 1)
    return distances(covariance, mean[:, 0])


def _floor(seeds: int, count: int) -> Distances:
    """The same from samples of the truth."""
    drawn = [video().draw(count, torch.Generator().manual_seed(1000 + seed)) for seed in range(seeds)]
    return _moments(torch.stack(drawn))
