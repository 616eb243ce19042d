"""Results: the folder of a Trainer, which is a run like any other, and the weights that the script holds."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from .. import runs
from ..files import fsio
from ..recipe import Recipe
from ..training import checkpoint
from ..training.config import Config as Training
from ..training.run import ResumeRefused
from .inside import Inside


class Diffusion(Protocol):
    """A GaussianDiffusion."""

    inside: Inside

    def eval(self) -> Any: ...


class Results:
    """What a Trainer does once its arguments are ours. Milestone m is the checkpoint of step m * train.save_every.

    As there, all milestones are kept, and no data are held out. Raises data.NoData for a folder without any.
    """

    def __init__(
        self, diffusion: Diffusion, data: Any, train: Training, results_folder: str | Path, *, previews: int
    ) -> None:
        inside = diffusion.inside
        self.model, self.results_folder, self.every = diffusion, Path(results_folder), train.save_every
        self.recipe = Recipe(
            data=data,
            network=inside.model.network.config,
            diffusion=inside.model.config,
            task=replace(inside.task, previews=previews, validation=0),
            train=replace(train, preview_every=train.save_every, keep=train.steps // train.save_every + 2),
            sample=inside.sampling,
        )
        self.data = runs.datasets(self.recipe)
        self.checkpoint: Path | None = None  # whose weights the model has; none: it is as the script made it

    @property
    def step(self) -> int:
        return 0 if self.checkpoint is None else checkpoint.read_state(self.checkpoint).step

    def train(self) -> None:
        """Up to the last step: from the step that was loaded, or from the weights as they are.

        The script's random numbers go on as if nothing had been trained.
        """
        newest, folder = self._newest(), self.results_folder
        if newest is not None and newest != self.checkpoint and (step := checkpoint.read_state(newest).step):
            raise ResumeRefused(
                f"{folder} holds step {step}, and the weights are of step {self.step}; go on from there by "
                "trainer.load(-1), or give another results_folder"
            )
        resume = self.checkpoint is not None
        with torch.random.fork_rng():  # steps seed the global generator
            runs.train(self.recipe, folder, resume=resume, data=self.data, model=self.model.inside.model)
        self.checkpoint = self._newest()

    def save(self, milestone: int | str = 0) -> None:
        """The weights as they are, as a run of step 0 if there is none yet; `train` itself saves what it trains."""
        if self._newest() is None:
            state = self.model.inside.model.network.state_dict()
            runs.write(self.results_folder, self.recipe, model=state, ema=state, step=0)

    def load(self, milestone: int | str = -1) -> None:
        """The weights of a milestone, or of the newest step (-1 or "latest"), from which `train` goes on."""
        folder = self.results_folder
        checkpoints, newest = folder / "checkpoints", milestone in (-1, "latest")
        if not checkpoints.is_dir() and (theirs := next(folder.glob("model-*.pt"), None)):
            how = f'diffusion.load_state_dict(torch.load("{theirs}")["model"])'
            raise runs.NotARun(f"{folder} holds no run but what the other package saved, which is read by {how}")
        found = runs.newest(folder) if newest else checkpoints / checkpoint.name_of(int(milestone) * self.every)
        if not found.is_dir():
            there = ", ".join(path.name for path in fsio.staged_folders(checkpoints)) or "none"
            raise runs.NotARun(f"{checkpoints} has no {found.name}, milestone {milestone}; it holds {there}")
        fsio.verify(found)
        checkpoint.load_model(found, self.model.inside.model, ema=False)
        self.checkpoint = found

    @property
    def ema_model(self) -> Any:
        """A copy of the diffusion with the averaged weights of the step that was trained or loaded last."""
        averaged = copy.deepcopy(self.model)
        if self.checkpoint is not None:
            checkpoint.load_model(self.checkpoint, averaged.inside.model)
        averaged.eval()
        return averaged

    def _newest(self) -> Path | None:
        try:
            return runs.newest(self.results_folder)
        except runs.NotARun:
            return None
