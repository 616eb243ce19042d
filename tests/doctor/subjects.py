"""Subjects that nothing is wrong with, and ways to make something wrong with them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from filmgrain import recipe as recipes
from filmgrain.data.plan import Fate
from filmgrain.doctor.data import Look, Seen
from filmgrain.doctor.machine import Machine
from filmgrain.doctor.recipe import Plan
from filmgrain.doctor.weights import Weights, initial
from filmgrain.files import fsio
from filmgrain.training.checkpoint import State
from filmgrain.watching.history import History

RECIPE = recipes.loads("""
[data]
name = "moving_shapes"
frames = 4
height = 8
width = 8
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 2
head_width = 8
[diffusion.schedule]
name = "cosine"
logsnr_min = -12.0
logsnr_max = 12.0
[train]
steps = 20000
""")
WORDED = recipes.override(RECIPE, ['conditions.words.vocabulary=["a", "red", "circle"]', "network.condition=8"])
LABELLED = recipes.override(RECIPE, ['conditions.label.names=["a", "b"]', "network.condition=8"])


@dataclass(frozen=True)
class Clips:
    """A Config, as far as checks ask it."""

    frames: int = 8
    height: int = 16
    width: int = 16
    fps: float = 0.0
    stride: int = 1


def item(**change: Any) -> Seen:
    return replace(Seen(source="a.gif", low=0, high=255, spread=60.0, change=200), **change)


def file(**change: Any) -> Fate:
    usual = Fate(path="a.gif", frames=20, fps=10.0, height=32, width=32, scaled=(16, 16), kept=1.0, train=2)
    return replace(usual, **change)


def look(**change: Any) -> Look:
    good = Look(
        where="clips",
        config=Clips(),
        seen=[item(source=f"{i}.gif") for i in range(20)],
        train=20,
        held_out=2,
        fates=[file(path=f"{i}.gif") for i in range(20)],
        contents=[{("train", f"{i}.gif")} for i in range(20)],
    )
    return replace(good, **change)


def plan(*settings: str, recipe: recipes.Recipe = RECIPE, **change: Any) -> Plan:
    return replace(Plan(recipe=recipes.override(recipe, settings), items=1000), **change)


def machine(**change: Any) -> Machine:
    good = Machine(where="runs/a", memory=16.0, step=1.0, seen=2.0, disk=100.0, parameters=1_000_000, keep=2)
    return replace(good, **change)


COLLECTED = time.time()  # when the rows below were made; the tests may come many minutes later


def falling(count: int = 100) -> list[dict[str, Any]]:
    """Rows of a run that goes well."""
    return [
        {"step": 20 * i, "loss": 1 / i + 0.1, "gradient_norm": 1.0 + i % 3, "lr": 1e-3, "skipped": 0.0}
        | {"steps_per_second": 5.0, "memory_gb": 1.0, "time": time.time() - 4 * (count - i)}
        for i in range(1, count + 1)
    ]


def with_figure(name: str, value: Callable[[int], float]) -> list[dict[str, Any]]:
    return [row | {name: value(i)} for i, row in enumerate(falling())]


def validated(losses: list[float]) -> list[dict[str, Any]]:
    rows = falling()
    return rows + [{"step": rows[-1]["step"], "validation/loss": loss, "time": time.time()} for loss in losses]


def event(name: str, **more: Any) -> list[dict[str, Any]]:
    return [*falling(), {"step": 2000, "event": name, "text": "what happened", **more, "time": time.time()}]


def quiet(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same a day ago."""
    return [row | {"time": row["time"] - 86_400} for row in rows]


def history(folder: Path, rows: list[dict[str, Any]], *, train: str = "steps = 20000") -> History:
    """A run's folder with one checkpoint."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(f"[train]\n{train}\n")
    later = time.time() - COLLECTED
    rows = [row | {"time": row["time"] + later} if "time" in row else row for row in rows]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with fsio.staged(folder / "checkpoints" / "step-00000020") as staging:
        (staging / "state.json").write_text("{}")
    return History(folder)


def weights(**change: Any) -> Weights:
    """Of a tiny network, every parameter of which has moved by 1."""
    first = initial(RECIPE)
    model = {name: tensor + 1 for name, tensor in first.items()}
    good = Weights(
        where="step-00001000",
        recipe=RECIPE,
        state=State(step=1000, ema_updates=1000),
        model=model,
        ema={name: tensor - 0.1 for name, tensor in model.items()},
        moments={f"model/{name}.exp_avg_sq": torch.ones_like(tensor) for name, tensor in first.items()},
        initial=first,
    )
    return replace(good, **change)
