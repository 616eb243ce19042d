"""What a checkpoint holds: weights, averaged weights, optimiser state and counters, as tensors and JSON.

step-00001000/ model.safetensors      trainable parameters and buffers (frozen parameters are a hash in state.json)
               ema.safetensors        averaged parameters
               optimizer.safetensors  GROUP/PARAMETER.exp_avg, .exp_avg_sq, .step
               state.json             format, versions, and the loop's `State`
               recipe.toml            the recipe it was trained with
               manifest.json          size and SHA-256 of each of the above
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files import fsio, tensors
from .run import Run

FORMAT = 1  # raised when an older reader would misread a checkpoint


class NewerFormat(Exception):
    """The checkpoint was written by a later version of filmgrain."""


class Mismatch(Exception):
    """The checkpoint's tensors are not those of the model."""


@dataclass
class State:
    """The loop's own memory, besides weights and optimiser."""

    step: int = 0  # optimiser steps done, skipped ones included
    skipped: int = 0  # steps skipped for a non-finite gradient
    skipped_in_a_row: int = 0  # of these, the last ones without a good step between
    ema_updates: int = 0
    window: list[dict[str, float]] = field(default_factory=list)  # metrics of the steps not logged yet
    due: list[str] = field(default_factory=list)  # of validate and preview, what this step still owes


def name_of(step: int) -> str:
    return f"step-{step:08d}"


def save(run: Run, state: State, model: nn.Module, averages: dict[str, Tensor], optimizer: dict[str, Tensor]) -> Path:
    """Writes one checkpoint, whole or not at all."""
    folder = run.checkpoints / name_of(state.step)
    about = {"format": FORMAT, "torch": torch.__version__, "frozen": frozen_hash(model), **asdict(state)}
    with fsio.staged(folder) as staging:
        tensors.save(staging / "model.safetensors", weights(model))
        fsio.point("save.model")
        tensors.save(staging / "ema.safetensors", averages)
        fsio.point("save.ema")
        tensors.save(staging / "optimizer.safetensors", optimizer)
        fsio.point("save.optimizer")
        (staging / "state.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        (staging / "recipe.toml").write_text(run.recipe, encoding="utf-8")
    return folder


def read_state(folder: Path) -> State:
    """The counters; raises `NewerFormat`."""
    about: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if about["format"] > FORMAT:
        raise NewerFormat(f"{folder} has format {about['format']}; this version reads up to {FORMAT}: update filmgrain")
    return State(**{name: about[name] for name in State.__dataclass_fields__ if name in about})


def load_model(folder: Path, model: nn.Module, *, ema: bool = True, without: tuple[str, ...] = ()) -> None:
    """Puts a verified checkpoint's weights into the model, averaged ones unless `ema` is false; raises `Mismatch`.

    without: beginnings of the names of what is left there, such as what only training needs.
    """
    read_state(folder)
    found = tensors.load(folder / "model.safetensors") | (tensors.load(folder / "ema.safetensors") if ema else {})
    assign(weights(model), {name: tensor for name, tensor in found.items() if not name.startswith(without)}, folder)
    about = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if about["frozen"] != frozen_hash(model):
        raise Mismatch(f"{folder} was trained on other frozen parameters than the model has; load the same ones")


@torch.no_grad()
def assign(target: dict[str, Tensor], source: dict[str, Tensor], folder: Path) -> None:
    """Copies each tensor to its namesake; raises `Mismatch` at the first without one, or of another shape."""
    for name in sorted(target.keys() | source.keys()):
        here, there = (tuple(t[name].shape) if name in t else "no such tensor" for t in (target, source))
        if here != there:
            raise Mismatch(
                f"{folder} does not fit the model: {name} is {there} there and {here} here; use its own recipe"
            )
    for name, tensor in target.items():
        tensor.copy_(source[name])


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters and persistent buffers by name, sharing memory with the model."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def frozen_hash(model: nn.Module) -> str:
    """SHA-256 over the names and bytes of the frozen parameters; empty where there are none."""
    digest, any_frozen = hashlib.sha256(), False
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            any_frozen = True
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest() if any_frozen else ""
