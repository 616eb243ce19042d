"""The presets of Video Diffusion Models: their sizes, and that each trains."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from text_encoder import Stub

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.conditioning import text
from filmgrain.data import moving_shapes
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate
from filmgrain.networks.unet3d import Network

PARAMETERS = {
    "vdm_ucf101": 597_527_043,
    "vdm_bair": 85_912_835,
    "vdm_kinetics600": 595_427_843,
    "vdm_text_small": 161_221_891,
    "vdm_text_large": 598_575_619,
    "vdm_text_128": 595_787_267,
}
SMALL = ["network.width=8", "network.head_width=8", "network.condition_width=16", "data.frames=3", "data.height=16"]
SMALL += ["data.width=16", "train.steps=2", "train.batch=2", "train.workers=0", "train.device=cpu", "task.previews=0"]


class Clips(moving_shapes.Dataset):
    """Moving shapes in place of files, that say what files say."""

    def item(self, index: int, rng: random.Random) -> dict[str, Any]:
        pace = {"fps": 12.0, "frame_skip": rng.choice([1, 4])}
        return super().item(index, rng) | pace


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_counts_what_it_says(name: str) -> None:
    config = recipes.load(name).network
    with torch.device("meta"):
        network = Network(config)
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]
    assert f" {PARAMETERS[name]:,} parameters." in recipes.shipped()[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_trains_and_samples_at_reduced_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "opened", lambda encoder, length: Stub())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = recipes.load(name)
    recipe = recipes.override(recipe, SMALL + ["network.condition=8"] * bool(recipe.conditions))
    shown = moving_shapes.Config(clips=9, frames=3, height=16, width=16)
    data = {split: Clips(shown, split) for split in ("train", "held_out")}
    runs.train(recipe, tmp_path / "run", data=data)
    model = runs.load(tmp_path / "run", device="cpu")
    asked = {"caption": ["a red circle"]} if recipe.conditions else None
    x = generate(model, 1, shape=(3, 2, 16, 16), config=Sampling(steps=2), given=asked)
    assert x.shape == (1, 3, 2, 16, 16) and np.isfinite(x.numpy()).all()
