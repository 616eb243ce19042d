"""Langevin correction after each step of another sampler (Song et al. 2021, sec. 4.2; in this form Ho et al. 2022)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, sigma
from ..rooms import find
from . import Noise, Step, one_after_another, one_step, per_sample

ORDER = None
MULTISTEP = True  # a corrector


def nfe(steps: int, *, corrections: int = 1, predictor: str = "ancestral") -> int | None:
    calls = find("samplers", predictor).nfe(steps)
    return None if calls is None else calls + corrections * (steps - 1)


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    z: Float[Tensor, "b *chw"],
    levels: Float[Tensor, " levels"],
    cond: Cond,
    *,
    noise: Noise,
    predictor: str = "ancestral",
    predictor_options: dict[str, float | str] | None = None,
    corrections: int = 1,
    delta: float = 0.1,
) -> Iterator[Step]:
    """z_s <- z_s - (delta / 2) sigma_s eps_hat(z_s) + sqrt(delta) sigma_s eps, `corrections` times at each level.

    A step of length delta sigma^2 of Langevin's dynamics, whose score is -eps_hat / sigma: it leaves q(z_s) as it is,
    up to O(delta), and heals what the predictor's step and the guidance have made of it. None at the data.
    """
    if not 0 < delta <= 1:
        raise ValueError(f"delta={delta} of the langevin sampler is outside (0, 1]; the paper uses 0.1")
    if corrections < 1:
        raise ValueError(f"corrections={corrections} of the langevin sampler is no number of steps; use 1 or more")
    noise = one_after_another(noise)
    step = one_step(predictor, noise, predictor_options)
    at_data = levels.isinf().tolist()
    for i, s in enumerate(levels[1:]):
        _, z, x0 = step(denoiser, z, levels[i : i + 2], cond)
        for _ in range(0 if at_data[i + 1] else corrections):
            x0 = denoiser(z, per_sample(s, z), cond)
            sigma_eps = z - alpha(s) * x0
            z = z - delta / 2 * sigma_eps + delta**0.5 * sigma(s) * noise(i, z)
        yield Step(s, z, x0)
