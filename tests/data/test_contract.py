"""What every dataset of the room keeps to; a new module is tested without being listed here."""

import dataclasses
import importlib
import pickle
import pkgutil
import random
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from archives import cifar10_python, gif, packed, png, write_idx

import filmgrain.data
from filmgrain.data.loader import Loader

MODULES = [importlib.import_module(f"filmgrain.data.{m.name}") for m in pkgutil.iter_modules(filmgrain.data.__path__)]
DATASETS = [module for module in MODULES if hasattr(module, "Dataset") and hasattr(module, "Config")]


@pytest.fixture(params=DATASETS, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def everything(folder: Path) -> Path:
    """The folder of videos and pictures, with an archive of every other format in it."""
    write_idx(folder)
    files = cifar10_python()
    packed(folder / "cifar-10-python.tar.gz", {f"cifar-10-batches-py/{n}": c for n, c in files.items()}, "w:gz")
    members = {
        f"{n:03}.{suffix}": b"%d" % (n % 2) if suffix == "cls" else png(n)
        for n in range(12)
        for suffix in ("png", "cls")
    }
    packed(folder / "shard-000.tar", members | {f"{n}.gif": gif(seed=n) for n in range(3)})
    return folder


@pytest.fixture
def dataset(module: ModuleType, everything: Path) -> Any:
    """Odd sizes and counts on purpose (mistake 26), and whatever draws at random turned on (mistake 14)."""
    fields = {field.name for field in dataclasses.fields(module.Config)}
    wanted = {
        "folder": str(everything),
        "frames": 5,
        "height": 19,
        "width": 27,
        "flip": True,
        "crop": "random",
        "fit": "scale",
        "processes": 1,
    }
    return module.Dataset(module.Config(**{k: v for k, v in wanted.items() if k in fields}))


def draws(dataset: Any, batch: int, workers: int, start: int, count: int) -> torch.Tensor:
    batches = Loader(dataset, batch=batch, seed=5, workers=workers).batches(start)
    return torch.cat([b["x"] for b in islice(batches, -(-count // batch))])[:count]


def test_items(dataset: Any) -> None:
    assert len(dataset) >= 1
    items = [dataset.item(index, random.Random(index)) for index in range(min(len(dataset), 4))]
    for item in items:
        assert item["x"].shape == dataset.config.shape and item["x"].dtype == np.uint8
        assert item["source"] and isinstance(item["source"], str)
        assert item.keys() == items[0].keys()
        assert ("label" in item) == bool(getattr(dataset, "classes", None))
        assert "label" not in item or 0 <= item["label"] < len(dataset.classes)
    assert np.stack([item["x"] for item in items]).std() > 0


def test_an_item_is_a_function_of_its_index_and_dice(dataset: Any) -> None:
    for index in range(min(len(dataset), 4)):
        first, again = (dataset.item(index, random.Random(7)) for _ in range(2))
        assert np.array_equal(first["x"], again["x"]) and first["source"] == again["source"]


def test_batches_are_floats_between_minus_one_and_one(dataset: Any) -> None:
    batch = next(Loader(dataset, batch=3, seed=0).batches())
    assert batch["x"].shape == (3, *dataset.config.shape) and batch["x"].dtype == torch.float32
    assert -1 <= batch["x"].min() < -0.2 and 0.2 < batch["x"].max() <= 1


def test_draws_are_independent_of_workers_batch_and_start(dataset: Any) -> None:
    expected = draws(dataset, batch=4, workers=0, start=0, count=12)
    assert torch.equal(draws(dataset, batch=3, workers=2, start=0, count=12), expected)
    assert torch.equal(draws(dataset, batch=2, workers=2, start=5, count=7), expected[5:])


def test_a_dataset_can_be_sent_to_a_spawned_worker(dataset: Any) -> None:
    copy = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copy.item(0, random.Random(0))["x"], dataset.item(0, random.Random(0))["x"])


def test_splits(module: ModuleType, dataset: Any) -> None:
    held_out = module.Dataset(dataset.config, "held_out")
    assert len(held_out) == 0 or held_out.item(0, random.Random(0))["x"].shape == dataset.config.shape
    assert dataset.summary() and held_out.summary()
    assert all(isinstance(line, str) and "\n" not in line for line in dataset.summary() + held_out.summary())


def test_configs_are_frozen_and_check_themselves(module: ModuleType) -> None:
    fields = {field.name for field in dataclasses.fields(module.Config)}
    needed = {"folder": "x"} if "folder" in fields else {}
    for field, value in {"frames": -1, "height": 0, "width": 0}.items():
        if field in fields:
            with pytest.raises(ValueError):
                module.Config(**needed, **{field: value})
