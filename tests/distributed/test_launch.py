"""`filmgrain train --processes 2` and torchrun: real processes, real data, a death in the midst of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from filmgrain import recipe as recipes
from filmgrain import runs
from filmgrain.training import checkpoint
from filmgrain.training.world import World

MORTAL = '''
import os, signal
from dataclasses import dataclass
from pathlib import Path
import numpy as np

@dataclass(frozen=True, kw_only=True)
class Config:
    died: str = ""  # file that is there once a process has died

    @property
    def shape(self):
        return 3, 2, 8, 8

class Dataset:
    """Clips of noise; the second process dies of its 28th, in step 5: three a draw, with its two images, after three
    to look at."""
    def __init__(self, config, split="train"):
        self.config, self.split, self.calls = config, split, 0

    def __len__(self):
        return 40 if self.split == "train" else 0

    def summary(self):
        return []

    def item(self, index, rng):
        self.calls += 1
        if self.calls == 28 and os.environ.get("RANK") == "1" and not Path(self.config.died).exists():
            Path(self.config.died).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        x = np.array([rng.randrange(256) for _ in range(384)], np.uint8).reshape(self.config.shape)
        return {"x": x, "source": str(index)}
'''
RECIPE = """
[data]
name = "mortal.clips"
died = "{died}"
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 1
head_width = 8
[task]
previews = 0
images = 2
[train]
steps = 6
batch = 4
save_every = 2
warmup = 2
device = "cpu"
precision = "float32"
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "mortal").mkdir()
    (tmp_path / "mortal/__init__.py").touch()
    (tmp_path / "mortal/clips.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FILMGRAIN_MODULES", "mortal")
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(died=tmp_path / "died"))
    yield path
    for name in [name for name in sys.modules if name.split(".")[0] == "mortal"]:
        del sys.modules[name]


def started(recipe: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> str:
    path = os.pathsep.join([str(recipe.parent), str(Path(__file__).parents[2])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, *launcher, "-m", *(["--"] if launcher else []), "filmgrain", "train", str(recipe)]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def apart(run: Path, other: Path) -> float:
    tensors = [checkpoint.read(runs.newest(folder), kind) for folder in (run, other) for kind in ("model", "optimizer")]
    pairs = zip(tensors[:2], tensors[2:], strict=True)
    return max(float((ours[k].double() - theirs[k].double()).abs().max()) for ours, theirs in pairs for k in theirs)


def test_a_run_of_two_processes_survives_a_death(recipe: Path, tmp_path: Path) -> None:
    """It ends as one process does, and torchrun's two go on with it."""
    torch.set_num_threads(1)
    said = started(recipe, "--run", str(tmp_path / "two"), "--processes", "2")
    assert "rank 1 was ended by SIGKILL; all start again from the last checkpoint" in said
    assert "resumed at step 4" in said
    assert said.count("trained: ") == 1
    (tmp_path / "died").touch()
    found = recipes.load(recipe)
    runs.train(found, tmp_path / "one")
    assert apart(tmp_path / "two", tmp_path / "one") < 1e-5
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    more = ("--resume", "--run", str(tmp_path / "two"), "--steps", "8", "--set", "train.sharded=true")
    started(recipe, *more, launcher=torchrun)
    runs.train(recipes.override(found, ["train.steps=8"]), tmp_path / "one", resume=True)
    assert apart(tmp_path / "two", tmp_path / "one") < 1e-5


def test_a_batch_that_cannot_be_divided_is_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(recipes.RecipeError, match=r"train\.batch=4, of all processes together, .* among 3; use 6"):
        runs.train(recipes.load(recipe), tmp_path / "three", world=World(size=3))
