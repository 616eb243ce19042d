"""What a checkpoint holds: weights, averaged weights, optimiser state and counters, as tensors and JSON.

step-00001000/ model.safetensors      trainable parameters and buffers (frozen parameters are a hash in state.json)
               ema.safetensors        averaged parameters
               optimizer.safetensors  GROUP/PARAMETER.exp_avg, .exp_avg_sq, .step
               state.json             format, versions, and the loop's `State`
               recipe.toml            the recipe it was trained with
               manifest.json          size and SHA-256 of each of the above

A sharded run's are the same tensors, named model/..., ema/... and optimizer/..., in parts: see sharded_state.py.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files import fsio, tensors
from .engine import gathered, own
from .run import Run
from .world import World

FORMAT = 1  # raised when an older reader would misread a checkpoint
KINDS = ("model", "ema", "optimizer")


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
    return write(run, state, _about(state, model), (weights(model), averages, optimizer))


def write(run: Run, state: State, about: str, found: tuple[dict[str, Tensor], ...]) -> Path:
    """The same, of tensors in the order of `KINDS`."""
    folder = run.checkpoints / name_of(state.step)
    with fsio.staged(folder) as staging:
        for kind, named in zip(KINDS, found, strict=True):
            tensors.save(staging / f"{kind}.safetensors", named)
            fsio.point(f"save.{kind}")
        _add(staging, about, run)
    return folder


def save_sharded(
    run: Run, state: State, model: nn.Module, found: tuple[dict[str, Tensor], ...], world: World, *, whole: bool
) -> Path:
    """Writes what every process holds a part of, in parts, or gathered into a whole; each process calls this."""
    about = _about(state, model)
    folder = run.checkpoints / name_of(state.step)
    if whole:
        kept = tuple({name: _kept(tensor, world) for name, tensor in named.items()} for named in found)
        world.first(lambda: write(run, state, about, kept))
        return folder
    from . import sharded_state

    everything = {f"{kind}/{name}": t for kind, named in zip(KINDS, found, strict=True) for name, t in named.items()}
    sharded_state.save(folder, everything, lambda staging: _add(staging, about, run), world)
    return folder


def read_state(folder: Path) -> State:
    """The counters; raises `NewerFormat`, and `Mismatch` for what is no state."""
    about = _read_about(folder)
    if about["format"] > FORMAT:
        raise NewerFormat(f"{folder} has format {about['format']}; this version reads up to {FORMAT}: update filmgrain")
    return State(**{name: about[name] for name in State.__dataclass_fields__ if name in about})


def _read_about(folder: Path) -> dict[str, Any]:
    """state.json, whose manifest may be in order and which may be anybody's all the same."""
    try:
        about = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        about = None
    usual = {"format": FORMAT, "frozen": ""} | asdict(State())
    named = isinstance(about, dict) and {"format", "frozen"} <= about.keys()
    if not named or any(type(about.get(name, value)) is not type(value) for name, value in usual.items()):
        raise Mismatch(f"{folder / 'state.json'} is not the state of a run; take the run as it was written")
    return about


def is_sharded(folder: Path) -> bool:
    return any(folder.glob("shard-*.safetensors"))


def read(folder: Path, kind: str) -> dict[str, Tensor]:
    """Whole tensors of one of `KINDS`."""
    if is_sharded(folder):
        from . import sharded_state

        return sharded_state.load(folder, f"{kind}/")
    return tensors.load(folder / f"{kind}.safetensors")


def shapes(folder: Path, kind: str) -> dict[str, tuple[int, ...]]:
    """Of one of `KINDS`, by name: read from headers alone."""
    if is_sharded(folder):
        from . import sharded_state

        found = sharded_state.shapes(folder).items()
        return {name.removeprefix(f"{kind}/"): shape for name, shape in found if name.startswith(f"{kind}/")}
    return {name: entry.shape for name, entry in tensors.header(folder / f"{kind}.safetensors").tensors.items()}


def load_model(
    folder: Path,
    model: nn.Module,
    *,
    ema: bool = True,
    without: tuple[str, ...] = (),
    part: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor,
) -> None:
    """Puts a verified checkpoint's weights into the model, averaged ones unless `ema` is false; raises `Mismatch`.

    without: beginnings of the names of what is left there, such as what only training needs. part: of a whole tensor,
    by its name, what this process holds.
    """
    read_state(folder)
    found = read(folder, "model") | (read(folder, "ema") if ema else {})
    kept = {name: part(name, tensor) for name, tensor in found.items() if not name.startswith(without)}
    assign({name: own(tensor) for name, tensor in weights(model).items()}, kept, folder)
    check_frozen(folder, model)


def check_frozen(folder: Path, model: nn.Module) -> None:
    if _read_about(folder)["frozen"] != frozen_hash(model):
        raise Mismatch(f"{folder} was trained on other frozen parameters than the model has; load the same ones")


@torch.no_grad()
def assign(target: dict[str, Tensor], source: dict[str, Tensor], folder: Path) -> None:
    """Copies each tensor to its namesake; raises `Mismatch` at the first without one, or of another shape."""
    compare(target, {name: tuple(tensor.shape) for name, tensor in source.items()}, folder)
    for name, tensor in target.items():
        tensor.copy_(source[name])


def compare(target: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], folder: Path) -> None:
    for name in sorted(target.keys() | shapes.keys()):
        here = tuple(target[name].shape) if name in target else "no such tensor"
        there = shapes.get(name, "no such tensor")
        if here != there:
            raise Mismatch(
                f"{folder} does not fit the model: {name} is {there} there and {here} here; use its own recipe"
            )


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
            whole = gathered(parameter.detach()).cpu().contiguous()
            digest.update(whole.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest() if any_frozen else ""


def _about(state: State, model: nn.Module) -> str:
    about = {"format": FORMAT, "torch": torch.__version__, "frozen": frozen_hash(model), **asdict(state)}
    return json.dumps(about, indent=1)


def _add(staging: Path, about: str, run: Run) -> None:
    (staging / "state.json").write_text(about, encoding="utf-8")
    (staging / "recipe.toml").write_text(run.recipe, encoding="utf-8")


def _kept(tensor: Tensor, world: World) -> Tensor:
    """A whole tensor in the first process, which writes it, off the device; the others let it go."""
    whole = gathered(tensor)
    return whole.cpu() if world.leads else torch.empty(0)
