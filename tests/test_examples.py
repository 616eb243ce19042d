"""Every example runs, with settings so small that it takes seconds; a new one with `--steps 2` and nothing else."""

import json
import random
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.data import image_folder
from filmgrain.data.fireworks import Config, Dataset
from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png
from filmgrain.files.kinds import kind

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
TINY = ["network.width=8", "network.mults=[1]", "network.heads=2", "network.head_width=8", "train.batch=1"]
TINY += ["train.steps=1", "train.precision=float32", "task.previews=0", "task.validation=1", "sample.steps=2"]
FLAGS = [part for setting in TINY for part in ("--set", setting)]
ARGUMENTS = {  # what is typed, and what is then there
    "train_on_your_gifs": (["clips", "--steps", "1", "--count", "1", *FLAGS], ["runs/gifs/new-0.gif"]),
    "sample_and_save": (["run", "--steps", "2", "--count", "2"], ["samples/ddim-1.mp4", "samples/sheet.gif"]),
    "write_a_sampler": (["run", "--steps", "2"], ["own_sampler.gif"]),
    "denoising_steps": (["run", "--steps", "3"], ["denoising.gif", "denoising.png"]),
    "cut_clips": (["out", "clips/0.gif", "--seconds", "0.4", "--side", "8"], ["out/0-000.mp4"]),
    "caption_emoji": (["emoji.json", "pictures"], []),
    "moving_stickers": (["out", "pictures", "--side", "16"], []),
}


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips/, pictures/ and a run that was trained for a step."""
    folder = tmp_path_factory.mktemp("material")
    data = Dataset(Config(frames=6, height=8, width=8))
    (folder / "clips").mkdir()
    (folder / "pictures").mkdir()
    for number in range(2):
        clip = np.ascontiguousarray(data.item(number, random.Random(number))["x"].transpose(1, 2, 3, 0))
        write_gif(folder / f"clips/{number}.gif", clip, fps=5)
        write_png(folder / f"pictures/{number}.png", clip[0])
    emoji = [{"image": "0.png", "name": "ROCKET", "category": "Travel", "skin_variations": {"x": {"image": "1.png"}}}]
    (folder / "emoji.json").write_text(json.dumps(emoji))
    small = ["data.frames=3", "data.height=8", "data.width=8"]
    runs.train(recipes.override(recipes.load("fireworks"), [*TINY, *small]), folder / "run")
    return folder


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, material, tmp_path, monkeypatch, capsys):
    arguments, expected = ARGUMENTS.get(path.stem, (["--steps", "2"], []))
    for name in ("clips", "pictures", "run", "emoji.json"):
        (tmp_path / name).symlink_to(material / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")
    for made in expected:
        assert kind(tmp_path / made) == {".png": "png", ".gif": "gif", ".mp4": "mp4"}[Path(made).suffix]


def test_captions_of_emoji_are_what_image_folder_reads(tmp_path, monkeypatch):
    for name in ("0", "1"):
        write_png(tmp_path / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    rows = [{"image": f"{n}.png", "name": f"NAME {n}", "category": f"Kind {n}"} for n in range(3)]
    (tmp_path / "emoji.json").write_text(json.dumps(rows))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["caption_emoji.py", str(tmp_path / "emoji.json"), str(tmp_path)])
    runpy.run_path(str(EXAMPLES[0].parent / "caption_emoji.py"), run_name="__main__")
    data = image_folder.Dataset(image_folder.Config(folder=str(tmp_path), height=8, width=8, held_out=0.0))
    items = [data.item(n, random.Random(0)) for n in range(len(data))]
    assert data.classes == ["Kind 0", "Kind 1"] and not data.refused
    assert [(item["label"], item["caption"]) for item in items] == [(0, "name 0"), (1, "name 1")]


def test_the_example_sampler_is_of_second_order():
    """On Gaussian data of variance v, where x0_hat = a v z / (a^2 v + s^2) and the flow keeps z / sqrt(a^2 v + s^2)."""
    import torch

    from filmgrain.diffusion.cond import Cond
    from filmgrain.diffusion.process import alpha, alpha_sigma, sigma
    from filmgrain.samplers import last

    sample = runpy.run_path(str(EXAMPLES[0].parent / "write_a_sampler.py"))["sample"]
    v, z = 0.25, torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]

    def denoiser(z, logsnr, cond):
        a, s = alpha_sigma(logsnr, z)
        return a * v / (a**2 * v + s**2) * z

    def error(steps: int) -> float:
        levels = torch.linspace(-10, 8, steps + 1, dtype=torch.float64)
        spread = (alpha(levels) ** 2 * v + sigma(levels) ** 2).sqrt()
        return float((last(sample(denoiser, z, levels, Cond())) - z / spread[0] * spread[-1]).abs().max())

    assert 3.5 < error(40) / error(80) < 4.5
