"""The diffusion task: a network learns to recover x0 from z = alpha x0 + sigma eps, at every noise level."""

import random
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Dataset, image_folder
from ..data.joint import Joint, told
from ..data.loader import Loader
from ..diffusion.cond import Cond
from ..diffusion.draw import Draw
from ..diffusion.loss import DISTANCES, diffusion_loss
from ..diffusion.objective import Objective, measured
from ..diffusion.prediction import PREDICTIONS
from ..diffusion.times import TIMES, LowDiscrepancy, Times
from ..diffusion.weighting import WEIGHTINGS, Simple, Weighting, excess
from ..files.encode import write_gif
from ..files.image import write_png
from ..files.sheet import contact_sheet, film_strip
from ..generate.sampling import Config as Sampling
from ..generate.videos import generate, to_uint8
from ..model import Config as Diffusion
from ..model import DiffusionModel

VALIDATION_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the schedule, from nearly clean to nearly noise
MIDPOINTS = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000  # of time: the levels that training meets


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is minimised, and how it is watched."""

    weighting: Weighting = field(default_factory=Simple, metadata={"choices": WEIGHTINGS})  # of noise levels
    times: Times = field(default_factory=LowDiscrepancy, metadata={"choices": TIMES})  # that are trained on
    distance: str = "l2"  # of the network's output from its target: "l2", "l1" or "huber"
    images: int = 0  # independent images behind the frames of each clip: joint training; 0: clips alone
    pictures: str = ""  # folder of these images; "": frames of other clips
    validation: int = 32  # held-out items in each validation; 0 for none
    previews: int = 8  # samples in each preview; 0 for none

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            raise ValueError(f'distance="{self.distance}" is unknown; use one of {", ".join(DISTANCES)}')
        for name in ("validation", "previews", "images"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative; use 0 for none")

        if self.pictures and not self.images:
            raise ValueError(f'pictures="{self.pictures}" without images; set task.images=8, or task.pictures=""')

    def check(self, diffusion: Diffusion) -> None:
        """Raises ValueError where the process cannot be trained so."""
        if diffusion.discrete and getattr(self.weighting, "per_logsnr", False):
            kind, given = type(self.weighting).__name__, type(diffusion.schedule).__name__
            raise ValueError(
                f"the weighting {kind} needs the schedule's slope, which {given}, a table of steps, has not; "
                "set diffusion.schedule=cosine, or another weighting"
            )

    def warnings(self, diffusion: Diffusion) -> list[str]:
        """What will make the training worse than it could be: a sentence each."""
        said = excess(self.weighting, PREDICTIONS[diffusion.prediction], diffusion.schedule(MIDPOINTS))
        return [said] if said else []


class Task:
    """Keeps to training/task.py. The times and the noise of draw n are functions of (seed, n).

    What the objective learns or remembers is a part of the model while it is trained, docs/decisions/013.
    batch: items at once where there is no training, in `validate` and `preview`; no figure depends on it.
    """

    def __init__(
        self,
        config: Config,
        model: DiffusionModel,
        *,
        seed: int,
        held_out: Dataset | None,
        sampling: Sampling,
        batch: int = 8,
    ):
        config.check(model.config)
        self.batch = batch
        self.config, self.model, self.seed, self.sampling = config, model, seed, sampling
        self.objective = Objective(weighting=config.weighting, times=config.times, distance=config.distance)
        model.objective = self.objective
        self.held_out = held_out if held_out is not None and len(held_out) and config.validation else None

    @property
    def trunk(self) -> nn.Module:
        """The part of the model that `loss` calls as a module, and that may be sharded."""
        return self.model.network

    def source(self, clips: Dataset) -> Dataset:
        """What training draws from: the clips, with images behind them if there are to be any. Raises ValueError."""
        if not self.config.images:
            return clips
        pictures = None
        if self.config.pictures:
            height, width = self.model.shape[-2:]
            pictures = image_folder.Dataset(
                image_folder.Config(folder=self.config.pictures, height=height, width=width, held_out=0.0)
            )
        joint = Joint(clips, self.config.images, pictures)
        item, same = joint.item(0, random.Random(0)), _classes(clips) == _classes(pictures or clips)
        for key in (condition.key for condition in self.model.conditions):
            if key not in item or (key == "label" and not same):
                missing = f'{self.config.pictures} has not the "{key}" of its pictures that the clips have'
                raise ValueError(f'{missing}; give such pictures, or task.pictures="" for frames of the clips')
        return joint

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        return {"model": {name: p for name, p in self.model.named_parameters() if p.requires_grad}}

    def loss(self, batch: dict[str, Any], group: str) -> tuple[Tensor, dict[str, Tensor]]:
        model, images, numbers = self.model, self.config.images, batch["n"].tolist()
        said, of_whom = batch, numbers
        if images:  # a clip and each of its images have a condition of their own, which is dropped for all or none
            said, of_whom = told(batch), [n for n in numbers for _ in range(1 + images)]
        x0, cond = model.codec.encode(batch["x"]), model.condition(said, Draw(self.seed, tuple(of_whom)), drop=True)
        network = partial(model.raw, images=images)
        losses = self.objective(network, model.prediction, model.schedule, x0, cond, Draw(self.seed, tuple(numbers)))
        return losses.mean(), {}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss on held-out items, with the same noise every time, at each of five noise levels and their mean."""
        if self.held_out is None:
            return {}
        device = next(self.model.parameters()).device
        sums = dict.fromkeys(VALIDATION_TIMES, 0.0)
        count, done = min(self.config.validation, len(self.held_out)), 0
        batches = Loader(self.held_out, batch=min(self.batch, count), seed=self.seed).batches()
        while done < count:
            items = next(batches)
            n = items["n"][: count - done].tolist()  # of the last batch, as many as are asked for
            x, draw = items["x"][: len(n)].to(device), Draw(self.seed, tuple(n))
            cond = self.model.condition({key: values[: len(n)] for key, values in items.items()}, draw)
            for t in VALIDATION_TIMES:
                sums[t] += self._losses(x, cond, draw, torch.full((len(n),), t, dtype=torch.float64)).sum().item()
            done += len(n)
        means = {f"loss at t={t}": total / count for t, total in sums.items()}
        return {"loss": sum(means.values()) / len(means), **means}

    def preview(self, folder: Path, step: int) -> list[Path]:
        """Samples of the same noise each time, as a moving sheet and a film strip."""
        if not self.config.previews:
            return []
        given = {c.key: c.examples(self.config.previews) or self._held_out(c.key) for c in self.model.conditions}
        given = {key: values for key, values in given.items() if len(values)}
        count, batch = self.config.previews, self.batch
        x = generate(self.model, count, seed=self.seed, config=self.sampling, batch=batch, given=given)
        clips = list(to_uint8(x if x.ndim == 5 else x[:, :, None]).numpy())
        sheet, strip = folder / f"step-{step:08d}.gif", folder / f"step-{step:08d}.png"
        write_gif(sheet, contact_sheet(clips), self.sampling.fps)
        write_png(strip, film_strip(clips))
        return [sheet, strip]

    def _held_out(self, key: str) -> list[Any]:
        """A value a preview, of held-out items, for a condition that has no examples of its own; none without such."""
        if self.held_out is None:
            return []
        count = self.config.previews
        values = next(Loader(self.held_out, batch=min(count, len(self.held_out)), seed=self.seed).batches())[key]
        return [values[i % len(values)] for i in range(count)]

    def _losses(self, x: Tensor, cond: Cond, draw: Draw, times: Tensor) -> Tensor:
        """One value an item: the loss at time t of each, with schedule and weighting as before any training."""
        x0, schedule, weighting = self.model.codec.encode(x), self.model.config.schedule, self.config.weighting
        logsnr, measure = measured(schedule, weighting, times)
        eps = draw.normal("training noise", x0)
        losses = diffusion_loss(
            self.model.raw,
            self.model.prediction,
            x0,
            logsnr.to(x0),
            eps,
            cond,
            weighting=weighting,
            distance=self.config.distance,
        )
        return measure.to(x0) * losses


def _classes(data: Dataset) -> list[str] | None:
    return getattr(data, "classes", None)
