"""What is too much for a machine: memory of a step, memory of a run, room for checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass

from .finding import Finding, note, problem

FULL = 0.9  # of the memory, beyond which a run is likely to be killed
TENSORS = 4  # a checkpoint holds of each parameter: itself, its average and Adam's two moments
BYTES = 4  # of a float32


@dataclass(frozen=True, kw_only=True)
class Machine:
    """In gigabytes; 0 for what is not known."""

    where: str
    memory: float  # of the device that is trained on; infinity where it cannot be told
    step: float = 0.0  # that a step keeps of its forward pass
    seen: float = 0.0  # the most that the run has held
    disk: float = 0.0  # free where the run lies
    parameters: int = 0  # of the network
    keep: int = 0  # checkpoints kept

    @property
    def training(self) -> float:
        """Weights, average, moments and gradient, and what a step keeps."""
        return self.step + (TENSORS + 1) * BYTES * self.parameters / 1e9

    @property
    def checkpoints(self) -> float:
        """One more than are kept: the old one goes when the new one is sound."""
        return (self.keep + 1) * TENSORS * BYTES * self.parameters / 1e9


def step_too_large(machine: Machine) -> Iterator[Finding]:
    if machine.step and machine.training > FULL * machine.memory:
        what = f"a step would hold {machine.training:,.1f} GB, and the device has {machine.memory:,.1f}"
        yield problem(machine.where, what, "lower train.batch and raise train.accumulate, or lower the data's size")


def memory_nearly_full(machine: Machine) -> Iterator[Finding]:
    if machine.seen > FULL * machine.memory:
        what = f"the run has held {machine.seen:,.1f} of {machine.memory:,.1f} GB"
        yield problem(machine.where, what, "lower train.batch and raise train.accumulate, or train.workers")


def disk_too_small(machine: Machine) -> Iterator[Finding]:
    if machine.disk and machine.checkpoints > machine.disk:
        what = f"{machine.keep + 1} checkpoints take {machine.checkpoints:,.1f} GB, and {machine.disk:,.1f} are free"
        yield problem(machine.where, what, "make room, lower train.keep, or give --run another disk")
    elif machine.disk and 3 * machine.checkpoints > machine.disk:
        what = f"{machine.keep + 1} checkpoints take {machine.checkpoints:,.1f} of {machine.disk:,.1f} GB that are free"
        yield note(machine.where, what, "make room: previews, samples and the cache of clips come on top")


CHECKS = (step_too_large, memory_nearly_full, disk_too_small)
