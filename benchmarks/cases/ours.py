"""filmgrain's side of every case: the trainer's own step, and `generate`."""

from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from cases import EVALUATIONS, Timed
from filmgrain.autoencoders import pixels
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.tasks.diffusion import Config as TaskConfig
from filmgrain.tasks.diffusion import Task
from filmgrain.training.config import Config as Training
from filmgrain.training.place import Place
from filmgrain.training.step import Stepper


def timed(
    network: nn.Module,
    diffusion: Diffusion,
    x: Tensor,
    output: Callable[[], Tensor],
    precision: str,
    *,
    sampler: dict[str, Any],
    distance: str = "l2",
    **training: Any,
) -> Timed:
    """x: the batch, in [-1, 1]. A step is all that a run's step is: noise, loss, gradient, its norm, AdamW, EMA."""
    place = Place.choose("cpu", precision)
    sampling = Sampling(steps=EVALUATIONS, **sampler)
    if sampling.nfe != EVALUATIONS:
        raise ValueError(f"{sampling.sampler} evaluates {sampling.nfe} times; expected {EVALUATIONS}")
    model = DiffusionModel(network, pixels.Codec(pixels.Config()), diffusion, tuple(x.shape[1:]))
    task = Task(TaskConfig(distance=distance), model, seed=0, held_out=None, sampling=sampling)
    config = Training(batch=len(x), lr=1e-5, warmup=0, precision=precision, device="cpu", **training)
    stepper = Stepper(task, config, place)
    numbers = count()

    def step() -> Any:
        number = next(numbers)
        return stepper.step(number, [{"x": x, "n": torch.arange(number * len(x), (number + 1) * len(x))}])

    def sample() -> Tensor:
        with place.autocast():
            return generate(model, len(x), config=sampling, batch=len(x))

    def forward() -> Tensor:
        with place.autocast():
            return output()

    return Timed(network, forward, step, sample)
