"""Keeper: which checkpoint a run starts from, when one is written, and which are kept."""

from pathlib import Path

import torch
from torch import Tensor

from ..files import fsio, tensors
from . import checkpoint, optimizer
from .checkpoint import State
from .log import Log
from .run import ResumeRefused, Run
from .step import Stepper


class NonFinite(Exception):
    """The run ended for want of finite gradients or weights; the last checkpoint is sound."""


class Keeper:
    def __init__(self, run: Run, keep: int, stepper: Stepper, log: Log) -> None:
        self.run, self.keep, self.stepper, self.log = run, keep, stepper, log
        self.saved = -1  # the step of the newest checkpoint

    def start(self) -> State:
        """A new run. The checkpoint of step 0 is the rehearsal: saved, verified and loaded within the first minute."""
        former = fsio.staged_folders(self.run.checkpoints)
        if any(folder.name != checkpoint.name_of(0) for folder in former):  # a run still at step 0 has nothing to lose
            raise ResumeRefused(
                f"{self.run.folder} holds {former[-1].name}; add --resume to go on, or use another --run"
            )
        for folder in former:
            fsio.remove(folder)
        fsio.write_text(self.run.metrics, "")
        fsio.write_text(self.run.folder / "recipe.toml", self.run.recipe)
        self.save(State())
        return self._load(self.run.checkpoints / checkpoint.name_of(0))

    def resume(self) -> State:
        """Goes on from the newest checkpoint that verifies; later ones are set aside and named."""
        folder, refused = fsio.newest(self.run.checkpoints)
        if folder is None:
            reason = "; ".join(map(str, refused)) or "it holds none; start the run without --resume"
            raise ResumeRefused(f"{self.run.folder} has no usable checkpoint: {reason}")
        self.run.check_recipe((folder / "recipe.toml").read_text(encoding="utf-8"))
        state = self._load(folder)
        fsio.truncate_jsonl(self.run.metrics, state.step)
        for error in refused:
            fsio.set_aside(error.folder)
            self.log.event(state.step, "damaged", f"{error}; set aside and not used")
        fsio.write_text(self.run.folder / "recipe.toml", self.run.recipe)
        return state

    def save(self, state: State) -> None:
        """Writes, verifies, and only then deletes what is too old. Raises OSError, `fsio.Damaged` or `NonFinite`."""
        if self.saved == state.step:
            return
        state.ema_updates = int(self.stepper.ema.updates)
        model, averages, moments = self.stepper.task.model, self.stepper.ema.averages, self._moments()
        self._refuse_non_finite(checkpoint.weights(model) | averages | moments, state)
        if self.run.metrics.exists():
            fsio.sync(self.run.metrics)  # no checkpoint may be ahead of the rows that led to it
        folder = checkpoint.save(self.run, state, model, averages, moments)
        try:
            fsio.verify(folder)
        except fsio.Damaged:
            fsio.set_aside(folder)
            raise
        self.saved = state.step
        for old in fsio.staged_folders(self.run.checkpoints)[: -self.keep]:
            fsio.remove(old)

    def _load(self, folder: Path) -> State:
        state, stepper = checkpoint.read_state(folder), self.stepper
        checkpoint.load_model(folder, stepper.task.model, ema=False)
        checkpoint.assign(stepper.ema.averages, tensors.load(folder / "ema.safetensors"), folder)
        stepper.ema.updates.fill_(state.ema_updates)
        moments = tensors.load(folder / "optimizer.safetensors")
        for group, parameters in stepper.groups.items():
            own = {
                key.removeprefix(f"{group}/"): value for key, value in moments.items() if key.startswith(f"{group}/")
            }
            optimizer.restore(stepper.optimizers[group], parameters, own)
        self.saved = state.step
        return state

    def _moments(self) -> dict[str, Tensor]:
        return {
            f"{group}/{key}": value
            for group, parameters in self.stepper.groups.items()
            for key, value in optimizer.state(self.stepper.optimizers[group], parameters).items()
        }

    def _refuse_non_finite(self, everything: dict[str, Tensor], state: State) -> None:
        finite = torch.stack([tensor.isfinite().all() for tensor in everything.values()])
        if not finite.all():
            name = list(everything)[int(finite.int().argmin())]
            raise NonFinite(
                f"{name} is not finite at step {state.step}, so nothing was saved; the checkpoint of step {self.saved} "
                "is sound: lower train.lr, or use train.precision=float32"
            )
