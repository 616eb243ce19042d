"""How a run is trained: everything the loop needs to know, nothing about what is trained."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Config:
    """Step s uses the draws [s * batch * accumulate, (s + 1) * batch * accumulate)."""

    steps: int = 20_000  # optimiser steps of the whole run
    batch: int = 8  # samples in one forward pass, of all processes together
    accumulate: int = 1  # forward passes in one optimiser step
    optimizer: str = "adamw"  # adamw or adam
    lr: float = 3e-4  # learning rate after the warm-up
    betas: tuple[float, float] = (0.9, 0.99)  # of Adam's two moments
    weight_decay: float = 0.0  # on parameters of two or more dimensions
    schedule: str = "constant"  # of the learning rate after the warm-up: constant, or cosine down to 0 at the last step
    warmup: int = 500  # steps of linear rise from 0 to lr
    clip: float = 1.0  # largest norm of the gradient; 0 does not clip
    ema: float = 0.999  # decay of the averaged weights a step, after its own warm-up; 0 is no averaging
    ema_start: int = 0  # step at which averaging begins; until then the average is the weights themselves
    ema_every: int = 1  # steps between two updates of the average
    precision: str = "auto"  # float32, bfloat16 (autocast), or auto: bfloat16 where the processor computes in it
    device: str = "auto"  # cuda, mps, cpu, or auto: the first of these that is there
    sharded: bool = False  # of many processes, each holds a part of weights and optimiser (FSDP); false: all of them
    recompute: int = 0  # levels, from the finest, that backward computes again: less memory, more time; -1 is all
    compile: bool = False  # the network's blocks, by torch.compile: minutes at first, and meant for GPUs
    seed: int = 0  # of the order, the noise and dropout
    workers: int = 0  # processes that load data
    save_every: int = 1_000  # steps between checkpoints
    keep: int = 2  # checkpoints kept
    validate_every: int = 1_000  # steps between validations; 0 is at the end only
    preview_every: int = 1_000  # steps between previews; 0 is at the end only
    log_every: int = 20  # steps averaged into one row of metrics.jsonl
    nonfinite_limit: int = 20  # steps in a row with a non-finite gradient that end the run
    tensorboard: bool = False  # write TensorBoard's events too (extra: tensorboard)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "save_every", "keep", "log_every", "nonfinite_limit", "ema_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("weight_decay", "warmup", "clip", "workers", "validate_every", "preview_every", "ema_start"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(self.recompute >= -1, "recompute", self.recompute, "-1, for every level, or more")
        _require(not (self.compile and self.recompute), "compile", "true", "false where train.recompute is not 0")
        _require(self.lr > 0, "lr", self.lr, "more than 0")
        _require(
            len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "betas", self.betas, "two numbers in [0, 1)"
        )
        _require(0 <= self.ema < 1, "ema", self.ema, "in [0, 1)")
        for name, known in CHOICES.items():
            _require(getattr(self, name) in known, name, repr(getattr(self, name)), f"one of {', '.join(known)}")


CHOICES = {
    "optimizer": ("adamw", "adam"),
    "schedule": ("constant", "cosine"),
    "precision": ("auto", "float32", "bfloat16"),
}


def _require(holds: bool, name: str, given: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"train.{name}={given} is not allowed; it must be {expected}")
