"""The training loop over any Task: steps, rows, validation, previews, checkpoints, and exact resume."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..files import fsio
from . import checkpoint, optimizer
from .checkpoint import State
from .config import Config
from .keeper import Keeper, NonFinite
from .log import Log
from .observe import observing
from .place import NoDevice, Place
from .run import ResumeRefused, Run
from .step import Stepper
from .stop import Signals, Stopped
from .task import Batch, Task
from .world import ALONE, World

Batches = Callable[[int], Iterator[Batch]]  # the endless stream of batches from a draw number on


def train(
    task: Task,
    batches: Batches,
    config: Config,
    run: Run,
    *,
    resume: bool = False,
    world: World = ALONE,
    rehearse: Callable[[Path], None] | None = None,
) -> None:
    """Trains up to step `config.steps`, from the newest sound checkpoint if `resume`, and leaves a checkpoint there.

    Killed at any moment and resumed, it ends with the same bytes as uninterrupted (on a GPU, where its kernels are
    deterministic). Raises `ResumeRefused`, `Locked`, `NonFinite`, and `Stopped` once a SIGTERM or SIGINT has been
    answered with a checkpoint.

    Of many processes each calls this with its part of every batch; `Lost` if another is gone. rehearse: does with the
    first checkpoint of a new run, before its first step, what the last one is for; what it raises ends the run.
    """
    if resume and not run.checkpoints.is_dir():
        raise ResumeRefused(f"{run.folder} holds no run; start one without --resume")
    place = Place.choose(config.device, config.precision)
    if world.size > 1 and place.device.type == "mps":
        raise NoDevice(f"{world.size} processes cannot share {place.device}; use train.device=cpu, or one process")
    with ExitStack() as stack:
        world.first(lambda: _alone(stack, run))
        signals = stack.enter_context(Signals())
        log = stack.enter_context(Log(run, config, place.device, writes=world.leads))
        stack.enter_context(world.watched())
        task.model.to(place.device).train()
        keeper = Keeper(run, config.keep, Stepper(task, config, place, world), log, world)
        state = keeper.resume() if resume else keeper.start()
        log.say(f"{'resumed at' if resume else 'training from'} step {state.step} on {place}{world}")
        _note(keeper, state, config)
        if rehearse and not resume:
            world.at("the rehearsal")
            with signals.interruptible():
                world.first(partial(rehearse, run.checkpoints / checkpoint.name_of(0)))
        Loop(task, config, keeper, signals, state).run(batches)


def _note(keeper: Keeper, state: State, config: Config) -> None:
    for note in keeper.stepper.notes:
        keeper.log.say(note)
    if state.step >= config.steps:
        keeper.log.say(
            f"nothing is left to train: train.steps={config.steps} counts all steps of the run; set more to go on"
        )


def _alone(stack: ExitStack, run: Run) -> None:
    """Locks the run and tidies it up."""
    stack.enter_context(fsio.lock(run.folder))
    fsio.clean(run.folder)
    fsio.clean(run.checkpoints)


class Loop:
    def __init__(self, task: Task, config: Config, keeper: Keeper, signals: Signals, state: State) -> None:
        self.task, self.config, self.keeper, self.signals, self.state = task, config, keeper, signals, state
        self.log, self.stepper, self.world = keeper.log, keeper.stepper, keeper.world
        self.pending: list[tuple[list[str], dict[str, Tensor]]] = []  # each step's sources, and figures on the device

    def run(self, batches: Batches) -> None:
        """On to the last step. On a signal: saves, then raises `Stopped`."""
        config = self.config
        stream = batches(self.state.step * config.batch * config.accumulate)
        self.log.begin(self.state.step)
        try:
            self._observe()
            while self.state.step < config.steps:
                self._poll()
                self._step(stream)
        except Stopped as stopped:
            self._read()
            self.keeper.save(self.state, whole=self.state.step >= config.steps)
            self.log.say(f"{stopped}; step {self.state.step} is saved: go on with --resume")
            raise

    def _step(self, stream: Iterator[Batch]) -> None:
        config, state = self.config, self.state
        self.world.at(f"loading step {state.step + 1}")
        micro_batches = [self.stepper.place.move(next(stream)) for _ in range(config.accumulate)]
        self.world.at(f"step {state.step + 1}")
        figures = self.stepper.step(state.step, micro_batches)
        self.pending.append(([name for batch in micro_batches for name in batch.get("source", [])], figures))
        state.step += 1
        self.log.advance()
        last = state.step == config.steps
        if state.step % config.log_every == 0 or last:
            self._write_row()
        elif len(self.pending) >= config.nonfinite_limit:
            self._read()
        state.due = [
            name
            for name, every in (("validate", config.validate_every), ("preview", config.preview_every))
            if last or (every and state.step % every == 0)
        ]
        self._observe()
        if state.step % config.save_every == 0 or last:
            self._save(last)

    def _observe(self) -> None:
        """What is due at this step. A failure is told and passed over; a signal leaves the rest to the resumed run."""
        due = self.state.due
        while due:
            self._poll()
            self.world.at(f"{due[0]} of step {self.state.step}")
            try:
                with observing(self.task.model, self.stepper.ema, self.stepper.place, self.stepper.engine.whole()):
                    self.world.first(self._look)
            except Exception as error:
                if not self.world.knows(error):
                    raise
                reason = f"{due[0]} failed, training goes on: {type(error).__name__}: {error}"
                self.log.event(self.state.step, "failed", reason)
            due.pop(0)

    def _look(self) -> None:
        """What is due first. Its row comes after what a signal may break off, or a resumed run would write it again."""
        step, previews = self.state.step, self.keeper.run.previews
        if self.state.due[0] == "validate":
            with self.signals.interruptible():
                figures = {f"validation/{name}": float(value) for name, value in self.task.validate().items()}
            self.log.figures(step, figures)
        else:
            with self.signals.interruptible():
                previews.mkdir(exist_ok=True)
                paths = self.task.preview(previews, step)
            self.log.record(step, {"event": "preview", "files": [path.name for path in paths]})

    def _poll(self) -> None:
        """Answers a signal that any process was sent, in all of them at the same step."""
        if number := self.world.highest(self.signals.received or 0):
            raise Stopped(number)

    def _save(self, last: bool) -> None:
        self._read()
        try:
            self.keeper.save(self.state, whole=last)
        except (OSError, fsio.Damaged) as error:
            if last:
                raise
            self.log.event(self.state.step, "save failed", f"not saved, training goes on: {error}")

    def _read(self) -> None:
        """Brings pending figures to the host in one transfer, and counts the skipped steps."""
        if not self.pending:
            return
        values = iter(torch.stack([v.float() for _, figures in self.pending for v in figures.values()]).tolist())
        first = self.state.step - len(self.pending) + 1
        for number, (sources, figures) in enumerate(self.pending, first):
            row = {key: next(values) for key in figures}
            if not row.pop("skipped"):
                self.state.window.append({key: value for key, value in row.items() if math.isfinite(value)})
                self.state.skipped_in_a_row = 0
                continue
            self.state.skipped += 1
            self.state.skipped_in_a_row += 1
            sources = [source for of_one in self.world.gather(sources) for source in of_one]
            named = ", ".join(sources[:4]) + (f" and {len(sources) - 4} more" if len(sources) > 4 else "")
            self.log.event(number, "skipped", f"gradient not finite, step skipped; batch: {named}", sources=sources)
            if self.state.skipped_in_a_row >= self.config.nonfinite_limit:
                raise NonFinite(
                    f"{self.state.skipped_in_a_row} steps in a row had a non-finite gradient, up to step {number}; the "
                    f"checkpoint of step {self.keeper.saved} is sound: lower train.lr, or use train.precision=float32"
                )
        self.pending.clear()

    def _write_row(self) -> None:
        """The mean of each figure over the steps since the last row that have it."""
        self._read()
        window, step = self.state.window, self.state.step
        keys = dict.fromkeys(key for row in window for key in row)
        figures = {
            key: math.fsum(values) / len(values)
            for key in keys
            if (values := [row[key] for row in window if key in row])
        }
        figures |= {"lr": optimizer.learning_rate(self.config, step - 1), "skipped": float(self.state.skipped)}
        self.log.metrics(step, figures)
        window.clear()
