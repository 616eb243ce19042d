"""A10: the averaged weights: their recurrence, who sees them, and that they never mix with the raw ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from moments import kill
from target import changed, emptied, finished, runs, trained
from torch import Tensor
from trial import Trial, first, unless

from filmgrain.files import tensors
from filmgrain.tasks.diffusion import Task

EVERY = {"save_every": 1, "keep": 99, "validate_every": 1, "preview_every": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "ema=0.9": {"ema": 0.9},
    "ema=0": {"ema": 0.0},
    "ema_start=3": {"ema": 0.9, "ema_start": 3},
    "ema_every=2": {"ema": 0.9, "ema_every": 2},
}


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    for name, settings in SETTINGS.items():
        recipe, folder = changed(**EVERY, **settings), emptied(root / "run")
        emptied(root / "seen").mkdir()
        ended = trained(folder, recipe=recipe, prepare=lambda: watching(root / "seen"))
        trained(emptied(root / "trial"), recipe=recipe, at=lambda moment: kill(moment) if moment == "step 5" else None)
        again = finished(root / "trial", recipe)
        if ended.code or again.code:
            yield Trial("run", name, f"{ended} {again}")
            continue
        kept = [checkpoint(folder, step) for step in range(8)]
        for step in range(1, 8):
            yield Trial("steps", f"{name}, step {step}", fault(root, kept, step, settings))
        yield Trial("loaded", name, loaded(folder, kept[7]))


def watching(seen: Path) -> None:
    """In this process: what validation and previews are given is kept."""
    for word in ("validate", "preview"):
        given = getattr(Task, word)

        def noted(self: Task, *rest: Any, given: Any = given, word: str = word) -> Any:
            number = len(list(seen.glob(f"{word}-*")))
            parameters = {name: p.clone() for name, p in self.model.named_parameters()}
            tensors.save(seen / f"{word}-{number:03d}.safetensors", parameters)
            return given(self, *rest)

        setattr(Task, word, noted)


def checkpoint(folder: Path, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    where = folder / "checkpoints" / f"step-{step:08d}"
    return tensors.load(where / "model.safetensors"), tensors.load(where / "ema.safetensors")


def fault(root: Path, kept: list[Any], step: int, settings: dict[str, Any]) -> str:
    (raw, average), (_, before) = kept[step], kept[step - 1]
    expected = {name: recurrence(before[name], raw[name], step - 1, settings) for name in average}
    seen = [tensors.load(root / "seen" / f"{word}-{step:03d}.safetensors") for word in ("validate", "preview")]
    resumed = checkpoint(root / "trial", step)
    mixed = any(torch.equal(raw[name], average[name]) for name in average) and settings["ema"] > 0
    parameters = {name for name in raw if "running_" not in name and "num_batches" not in name}
    return first(
        unless(average.keys() == parameters, "holds other tensors than the parameters"),
        unless(all(torch.allclose(average[n], expected[n], atol=1e-7) for n in average), "is not its recurrence"),
        unless(not mixed or step <= settings.get("ema_start", 0), "holds raw weights"),
        unless(all(equal(one, average) for one in seen), "validation or previews saw other weights"),
        unless(equal(resumed[1], average) and equal(resumed[0], raw), "a resumed run has another"),
    )


def recurrence(before: Tensor, raw: Tensor, step: int, settings: dict[str, Any]) -> Tensor:
    """average + (1 - d) (raw - average), d = min(decay, (1 + n) / (10 + n)) at the n-th update."""
    start, every = settings.get("ema_start", 0), settings.get("ema_every", 1)
    if step < start:
        return raw
    if (step - start) % every:
        return before
    n = (step - start) // every
    return before + (1 - min(settings["ema"], (1 + n) / (10 + n))) * (raw - before)


def loaded(folder: Path, last: tuple[dict[str, Tensor], dict[str, Tensor]]) -> str:
    raw, average = last
    averaged, plain = (runs.load(folder, weights=kind, device="cpu").state_dict() for kind in ("ema", "raw"))
    return first(
        unless(all(torch.equal(averaged[name], (raw | average)[name]) for name in averaged), "loads other averages"),
        unless(all(torch.equal(plain[name], raw[name]) for name in plain), "loads other raw weights"),
    )


def equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
