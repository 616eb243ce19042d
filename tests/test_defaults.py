"""The recipe that a folder's training begins with."""

from dataclasses import replace

import numpy as np
import pytest

from filmgrain import defaults
from filmgrain.data import NoData
from filmgrain.files.encode import write_gif
from filmgrain.recipe import RecipeError, dumps, loads


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
def test_the_coarsest_level_keeps_some_positions(side, device):
    config, _ = defaults._network((3, 4, side, 2 * side), device)
    assert side // config.patch // 2 ** (len(config.mults) - 1) >= defaults.COARSEST or len(config.mults) == 1
    assert (config.width == defaults.SMALL.width) == (device == "cpu")


def test_nothing_to_train_on(tmp_path):
    with pytest.raises(NoData):
        defaults.for_folder(tmp_path)


def test_a_name_that_is_no_text():
    with pytest.raises(RecipeError, match="rename"):
        defaults.for_folder("clips\udcff")
