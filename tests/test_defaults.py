"""The recipe that a folder's training begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from filmgrain import defaults
from filmgrain.data import NoData
from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png
from filmgrain.recipe import RecipeError, dumps, loads
from filmgrain.rooms import name_of
from filmgrain.training.place import Place


def test_a_folder_of_gifs(tmp_path):
    for i in range(3):
        write_gif(tmp_path / f"{i}.gif", np.random.default_rng(i).integers(0, 255, (12, 48, 64, 3), np.uint8), fps=10)
    recipe, reasons = defaults.explained(tmp_path, device="cpu")
    assert recipe == defaults.for_folder(tmp_path, device="cpu")
    assert recipe.data.shape == (3, 12, 48, 64) and recipe.sample.fps == pytest.approx(10, rel=0.05)
    assert recipe.network.patch == 4 and recipe.diffusion == defaults.CLEAN
    assert recipe.train == replace(defaults.QUICK, device="cpu")  # it trains on what it was chosen for
    assert loads(dumps(recipe)) == recipe
    assert any(reason.startswith("network.width=") for reason in reasons)
    assert any(reason.startswith("train.steps=") for reason in reasons)


@pytest.mark.parametrize("side", [8, 16, 24, 32, 48, 64, 256])
@pytest.mark.parametrize("device", ["cpu", "mps"])
@pytest.mark.parametrize("shape", [(3, 4), (1,)])
def test_the_coarsest_level_keeps_some_positions(side, device, shape):
    config, _ = defaults._network((*shape, side, 2 * side), device)
    assert side // config.patch // 2 ** (len(config.mults) - 1) >= defaults.COARSEST or len(config.mults) == 1
    small = defaults.SMALL if len(shape) == 2 else defaults.SMALL_2D
    assert (config.width == small.width) == (device == "cpu") and config.channels == shape[0]


def test_nothing_to_train_on(tmp_path):
    with pytest.raises(NoData):
        defaults.for_folder(tmp_path)


def test_a_name_that_is_no_text():
    with pytest.raises(RecipeError, match="rename"):
        defaults.for_folder("clips\udcff")


def pictures(folder, side=40, count=12):
    for i in range(count):
        path = folder / ("cats" if i % 2 else "dogs") / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(path, np.random.default_rng(i).integers(0, 255, (side, side, 3), np.uint8))


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_folder_of_pictures_by_class(tmp_path, device, monkeypatch):
    monkeypatch.setattr(Place, "choose", lambda *_: Place(torch.device(device), torch.float32))
    pictures(tmp_path)
    recipe, reasons = defaults.explained(tmp_path)
    assert recipe.data.shape == (3, 40, 40) and name_of(recipe.network) == "unet2d"
    assert recipe.conditions["label"].names == ("cats", "dogs") and recipe.network.condition == recipe.network.width
    assert loads(dumps(recipe)) == recipe
    assert any("condition=" in reason for reason in reasons)


def test_pictures_without_classes(tmp_path):
    pictures(tmp_path)
    for path in tmp_path.glob("*/*.png"):
        path.rename(tmp_path / path.name)
    recipe = defaults.for_folder(tmp_path, device="cpu")
    assert recipe.conditions == {} and recipe.network.condition == 0
