"""RePaint: steps are undone and made again, until known and new parts agree (Lugmayr et al. 2022, algorithm 1)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.process import alpha, renewed, sigma
from ..rooms import find
from . import Noise, Step, one_after_another, one_step

ORDER = None
MULTISTEP = True  # a corrector


def nfe(steps: int, *, resamples: int = 3, predictor: str = "ancestral") -> int | None:
    """All steps `resamples` times, but that into the data."""
    calls, of_the_last = (find("samplers", predictor).nfe(count) for count in (steps, 1))
    return None if calls is None else resamples * (calls - of_the_last) + of_the_last


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
    resamples: int = 3,
    jump: int = 1,
) -> Iterator[Step]:
    """`jump` steps down, and back up by z_t ~ q(z_t | z_s) to do them again, `resamples` times in all; then the next.

    With guidance/known.py around the denoiser. The paper uses resamples = 10 and jump = 10, of 250 steps. A step is
    yielded when it is made for the last time. That into the data is made once.
    """
    for name, number in (("resamples", resamples), ("jump", jump)):
        if number < 1:
            raise ValueError(f"{name}={number} of the repaint sampler is no number of steps; use 1 or more")
    noise = one_after_another(noise)
    step = one_step(predictor, noise, predictor_options)
    finite = levels.isinf().tolist().count(False) - 1  # steps that do not lead into the data
    for first in range(0, finite, jump):
        block = levels[first : min(first + jump, finite) + 1]
        t, s = block[0], block[-1]
        for again in reversed(range(resamples)):
            for i in range(len(block) - 1):
                reached = step(denoiser, z, block[i : i + 2], cond)
                z = reached.z
                if not again:
                    yield reached
            if again:  # z_t = (alpha_t / alpha_s) z_s + sigma_{t|s} eps
                z = alpha(t) / alpha(s) * z + renewed(t, s).sqrt() * sigma(t) * noise(first, z)
    if finite < len(levels) - 1:
        yield step(denoiser, z, levels[-2:], cond)
