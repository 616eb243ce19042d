"""New videos (or images: whatever the model's data are) from noise alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.draw import Draw
from ..files.encode import write_gif, write_mp4
from ..model import DiffusionModel
from ..samplers import Step
from .sampling import Config, walk


class NotFinite(ValueError):
    """A network gave NaN or infinity while it was sampled from."""


def generate(
    model: DiffusionModel,
    count: int | None = None,
    *,
    seed: int = 0,
    config: Config | None = None,
    shape: tuple[int, ...] | None = None,
    batch: int = 8,
    given: Mapping[str, Sequence[Any]] | None = None,
    watch: Callable[[range, Step], None] | None = None,
) -> Float[Tensor, "count *cfhw"]:
    """`count` samples in [-1, 1], on the CPU: (count, c, f, h, w), or without f for a model of images.

    given: what is said of the samples, a value for each or one for all of each condition, such as {"label": [3, 3, 7]}
    or {"caption": "a red circle"}. count: as many as values, by default. What to keep away from is config.negative.
    shape: of one sample, the model's own by default. batch: how many at once; memory grows with it, the samples do
    not change. watch(ids, step) sees each step of each batch. Raises NotFinite for NaN or infinity of the network.
    """
    drawn = batches(model, count, seed=seed, config=config, shape=shape, batch=batch, given=given, watch=watch)
    return torch.cat([x for _, x in drawn])


@torch.no_grad()
def batches(
    model: DiffusionModel,
    count: int | None = None,
    *,
    seed: int = 0,
    config: Config | None = None,
    shape: tuple[int, ...] | None = None,
    batch: int = 8,
    given: Mapping[str, Sequence[Any]] | None = None,
    watch: Callable[[range, Step], None] | None = None,
) -> Iterator[tuple[range, Float[Tensor, "b *cfhw"]]]:
    """The samples that `generate` gives, a batch at a time: their numbers, and themselves. Only one batch is held.

    The model is in evaluation mode until the last batch has been drawn, or the iterator is closed.
    """
    config, shape = config or Config(), shape or model.shape
    count, given = of_each(model, given or {}, count)
    if count < 1 or batch < 1:
        raise ValueError(f"count={count}, batch={batch}: both are numbers of samples; use 1 or more")
    was_training = model.training
    model.eval()
    try:
        for first in range(0, count, batch):
            ids = range(first, min(first + batch, count))
            own = {key: values[first : ids.stop] for key, values in given.items()}
            cond = model.condition(own, Draw(seed, tuple(ids))) if given else None
            steps = walk(model, ids, shape, config, seed, cond)
            x0 = finished(steps, partial(watch, ids) if watch else None)
            yield ids, model.codec.decode(x0).clamp(-1, 1).cpu()
    finally:
        model.train(was_training)


def finished(steps: Iterator[Step], watch: Callable[[Step], None] | None = None) -> Float[Tensor, "b *chw"]:
    """The sample at the end of a walk. Raises NotFinite where the network gave NaN or infinity on the way."""
    reached, finite = [], []
    for step in steps:
        reached.append(step.logsnr)
        finite.append(step.x0.isfinite().all())  # on the device: no step waits for it
        if watch is not None:
            watch(step)
    if not (sound := torch.stack(finite)).all():
        first = int(sound.int().argmin())
        level = "where it begins" if first == 0 else f"from log-SNR {reached[first - 1]:.2f}"
        raise NotFinite(
            f"the network gave NaN or infinity at step {first + 1} of {len(finite)}, {level}; look at the run's curve, "
            "and try weights of another checkpoint, threshold=static, or a schedule that ends in less noise"
        )
    return step.z


def of_each(
    model: DiffusionModel, given: Mapping[str, Sequence[Any]], count: int | None
) -> tuple[int, dict[str, Sequence[Any]]]:
    """The number of samples, and the value of each condition for each of them. Raises ValueError."""
    keys = [condition.key for condition in model.conditions]
    lists = {key: [values] if isinstance(values, str) else values for key, values in given.items()}
    count = max(map(len, lists.values()), default=0) if count is None else count
    for key, values in lists.items():
        if key not in keys:
            raise ValueError(f'the model was not trained with "{key}"; it knows {", ".join(keys) or "no conditions"}')
        if len(values) not in (1, count):
            raise ValueError(f"{len(values)} values of {key} for {count} samples; give one for each, or one for all")
    return count, {key: values if len(values) == count else list(values) * count for key, values in lists.items()}


def to_uint8(x: Float[Tensor, "*b c f h w"]) -> Tensor:
    """x in [-1, 1] as bytes with channels last, (..., f, h, w, c), on the CPU: what the files room writes."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(-4, -1).cpu()


def save_video(
    x: Float[Tensor, "c f h w"], path: str | Path, *, fps: float = 8.0, recipe: dict[str, Any] | None = None
) -> None:
    """One video in [-1, 1] as PATH.gif or PATH.mp4, by the name's ending, with the recipe of its making inside."""
    writers = {".gif": write_gif, ".mp4": write_mp4}
    path = Path(path)
    if path.suffix.lower() not in writers:
        raise ValueError(f'{path} ends in "{path.suffix}"; a video is saved as .gif or .mp4')
    writers[path.suffix.lower()](path, to_uint8(x).numpy(), fps, recipe)
