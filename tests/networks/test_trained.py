"""Every network of images in a run: trained with labels, saved, loaded, sampled; raw and averaged weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from test_network_contracts import NAMES, SMALL

from filmgrain import recipe as recipes
from filmgrain import rooms, runs
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate

OF_IMAGES = [name for name in NAMES if getattr(rooms.find("networks", name).Config, "images_only", False)]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four pictures in each of two classes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FILMGRAIN_ALLOCATOR", "0")
    draw = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(4):
            pixels = draw.integers(0, 256, (9, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / kind / f"{number}.png")
    return tmp_path / "pictures"


def recipe_of(name: str, folder: Path) -> recipes.Recipe:
    config = rooms.find("networks", name).Config
    known = {key: value for key, value in SMALL.items() if key in config.__dataclass_fields__}
    schedule = "linear_beta" if getattr(config, "takes_steps", False) is True else "cosine"
    text = f"""
        [data]
        name = "image_folder"
        folder = "{folder}"
        height = 9
        width = 10
        held_out = 0.0
        [network]
        name = "{name}"
        condition = 6
        [conditions.label]
        names = ["cats", "dogs"]
        [diffusion]
        schedule = "{schedule}"
        [task]
        validation = 0
        previews = 1
        [train]
        steps = 3
        batch = 2
        precision = "float32"
        device = "cpu"
        [sample]
        steps = 2
        """
    settings = [f"network.{key}={list(value) if isinstance(value, tuple) else value}" for key, value in known.items()]
    return recipes.override(recipes.loads(text), settings)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_trains_saves_loads_and_samples(name, pictures, tmp_path):
    run = tmp_path / "run"
    runs.train(recipe_of(name, pictures), run)
    model, raw = (runs.load(run, weights=weights, device="cpu") for weights in ("ema", "raw"))
    assert not any(module.training for module in model.modules())
    with safe_open(runs.newest(run) / "ema.safetensors", "pt") as averages:
        assert not {name for name, _ in model.named_buffers()} & {*averages.keys()}
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), raw.buffers(), strict=True))
    if name == "simple_unet":
        assert model.network.downs[0].norms[0].num_batches_tracked == 3

    config = Sampling(steps=2, scale=2.0)
    cats, dogs, mixed = (
        generate(model, 2, config=config, given={"label": given}) for given in ([0, 0], [1, 1], [0, 1])
    )
    assert cats.shape == (2, 3, 9, 10) and cats.isfinite().all() and not torch.equal(cats, dogs)
    assert torch.allclose(mixed, torch.stack([cats[0], dogs[1]]), atol=1e-4)
    assert torch.equal(cats, generate(model, 2, config=config, given={"label": [0, 0]}))  # nothing of it is remembered
