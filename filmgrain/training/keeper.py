"""Keeper: which checkpoint a run starts from, when one is written, and which are kept."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ..files import fsio
from . import checkpoint, optimizer
from .checkpoint import State
from .engine import own
from .log import Log
from .run import ResumeRefused, Run
from .step import Stepper
from .world import ALONE, World

if TYPE_CHECKING:
    from .shards import Shards


class NonFinite(Exception):
    """The run ended for want of finite gradients or weights; the last checkpoint is sound."""


class Keeper:
    """The first process decides, writes and deletes; of a sharded run, every process reads and writes its part."""

    def __init__(self, run: Run, keep: int, stepper: Stepper, log: Log, world: World = ALONE) -> None:
        self.run, self.keep, self.stepper, self.log, self.world = run, keep, stepper, log, world
        self.saved = -1  # the step of the newest checkpoint

    def start(self) -> State:
        """A new run. The checkpoint of step 0 is the rehearsal: saved, verified and loaded within the first minute."""
        self.world.first(self._clear)
        self.save(State(), whole=False)
        return self._load(self.run.checkpoints / checkpoint.name_of(0))

    def resume(self) -> State:
        """Goes on from the newest checkpoint that verifies; later ones are set aside and named."""
        found = self.world.first(self._newest)
        folder = Path(self.world.share(str(found.folder) if found else ""))
        state = self._load(folder)
        self.world.first(lambda: self._go_on(state, found.refused if found else []))
        return state

    def save(self, state: State, *, whole: bool = True) -> None:
        """Writes, verifies, and only then deletes what is too old. A sharded run writes parts where not `whole`.

        Raises OSError, `fsio.Damaged` or `NonFinite`; what cannot be deleted is told, and tried again at the next save.
        """
        if self.saved == state.step:
            return
        state.ema_updates = int(self.stepper.ema.updates)
        model, averages, moments = self.stepper.task.model, self.stepper.ema.averages, self._moments()
        self._refuse_non_finite(checkpoint.weights(model) | averages | moments, state)
        if self.run.metrics.exists():
            fsio.sync(self.run.metrics)  # no checkpoint may be ahead of the rows that led to it
        if shards := self._shards():
            kept = {name: shards.spread(name, part) for name, part in averages.items()}
            steps = {key: shards.spread(_parameter(key), value) for key, value in moments.items()}
            found = checkpoint.weights(model), kept, steps
            folder = checkpoint.save_sharded(self.run, state, model, found, self.world, whole=whole)
            self.world.first(lambda: self._keep(folder, state.step))
        else:
            self.world.first(lambda: self._keep(checkpoint.save(self.run, state, model, averages, moments), state.step))
        self.saved = state.step

    def _keep(self, folder: Path, step: int) -> None:
        try:
            fsio.verify(folder)
        except fsio.Damaged:
            fsio.set_aside(folder)
            raise
        try:
            for old in fsio.staged_folders(self.run.checkpoints)[: -self.keep]:
                fsio.remove(old)
            fsio.clean(self.run.checkpoints)  # what could not be deleted before
        except OSError as error:
            self.log.event(step, "not removed", f"saved; an older checkpoint could not be deleted: {error}")

    def _clear(self) -> None:
        former = fsio.staged_folders(self.run.checkpoints)
        if any(folder.name != checkpoint.name_of(0) for folder in former):  # a run still at step 0 has nothing to lose
            raise ResumeRefused(
                f"{self.run.folder} holds {former[-1].name}; add --resume to go on, or use another --run"
            )
        for folder in former:
            fsio.remove(folder)
        fsio.write_text(self.run.metrics, "")
        fsio.write_text(self.run.folder / "recipe.toml", self.run.recipe)

    def _newest(self) -> fsio.Newest:
        found = fsio.newest(self.run.checkpoints)
        if found.folder is None:
            reason = "; ".join(map(str, found.refused)) or "it holds none"
            advice = "copy one back, or use another run" if found.refused else "start the run without --resume"
            raise ResumeRefused(f"{self.run.folder} has no usable checkpoint: {reason}; {advice}")
        self.run.check_recipe((found.folder / "recipe.toml").read_text(encoding="utf-8"))
        return found

    def _go_on(self, state: State, refused: list[fsio.Damaged]) -> None:
        fsio.truncate_jsonl(self.run.metrics, state.step)
        for error in refused:
            fsio.set_aside(error.folder)
            self.log.event(state.step, "damaged", f"{error}; set aside and not used")
        fsio.write_text(self.run.folder / "recipe.toml", self.run.recipe)

    def _load(self, folder: Path) -> State:
        state, stepper, shards = checkpoint.read_state(folder), self.stepper, self._shards()
        if shards and checkpoint.is_sharded(folder):
            moments = self._fill(folder, shards)
        else:
            part = shards.part if shards else lambda name, tensor: tensor
            checkpoint.load_model(folder, stepper.task.model, ema=False, part=part)
            averages = {name: part(name, tensor) for name, tensor in checkpoint.read(folder, "ema").items()}
            checkpoint.assign(stepper.ema.averages, averages, folder)
            whole = checkpoint.read(folder, "optimizer")
            moments = {key: part(_parameter(key), value) for key, value in whole.items()}
        stepper.ema.updates.fill_(state.ema_updates)
        for group, parameters in stepper.groups.items():
            kept = {
                key.removeprefix(f"{group}/"): value for key, value in moments.items() if key.startswith(f"{group}/")
            }
            optimizer.restore(stepper.optimizers[group], parameters, kept)
        self.saved = state.step
        return state

    def _fill(self, folder: Path, shards: "Shards") -> dict[str, Tensor]:
        """Reads this process's parts of a sharded checkpoint; returns those of the optimiser."""
        from . import sharded_state

        shapes = sharded_state.shapes(folder)
        parts = {f"model/{name}": tensor for name, tensor in checkpoint.weights(self.stepper.task.model).items()}
        parts |= {f"ema/{name}": shards.spread(name, part) for name, part in self.stepper.ema.averages.items()}
        moments: dict[str, Tensor] = {}
        for key in (name.removeprefix("optimizer/") for name in shapes if name.startswith("optimizer/")):
            parameter = shards.groups[key.partition("/")[0]][_parameter(key)]
            moments[key] = parameter.new_zeros(()) if key.endswith(".step") else torch.zeros_like(parameter)
        parts |= {f"optimizer/{key}": shards.spread(_parameter(key), value) for key, value in moments.items()}
        checkpoint.compare(parts, shapes, folder)
        sharded_state.fill(folder, parts)
        checkpoint.check_frozen(folder, self.stepper.task.model)
        return moments

    def _shards(self) -> "Shards | None":
        return cast("Shards", self.stepper.engine) if self.stepper.sharded else None

    def _moments(self) -> dict[str, Tensor]:
        return {
            f"{group}/{key}": value
            for group, parameters in self.stepper.groups.items()
            for key, value in optimizer.state(self.stepper.optimizers[group], parameters).items()
        }

    def _refuse_non_finite(self, everything: dict[str, Tensor], state: State) -> None:
        """Of a sharded run, each process looks at its own parts."""
        finite = torch.stack([own(tensor).isfinite().all() for tensor in everything.values()])
        first = list(everything)[int(finite.int().argmin())]
        found = self.world.gather("" if finite.all() else first)
        for name in filter(None, found):
            raise NonFinite(
                f"{name} is not finite at step {state.step}, so nothing was saved; the checkpoint of step {self.saved} "
                "is sound: lower train.lr, or use train.precision=float32"
            )


def _parameter(key: str) -> str:
    """GROUP/PARAMETER.exp_avg -> PARAMETER."""
    return key.partition("/")[2].rpartition(".")[0]
