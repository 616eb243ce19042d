import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from filmgrain.cli import main
from filmgrain.data import moving_shapes
from filmgrain.files.encode import write_gif

TINY = """
[data]
name = "moving_shapes"
frames = 4
height = 8
width = 8
[network]
name = "unet3d"
width = 8
mults = [1, 2]
heads = 2
head_width = 8
[task]
validation = 2
previews = 2
[train]
steps = 2
batch = 2
precision = "float32"
[sample]
steps = 2
"""
CHEAP = ["network.width=8", "network.mults=[1,2]", "network.heads=2", "network.head_width=8", "train.batch=2"]
CHEAP += ["task.previews=2", "sample.steps=2", "train.precision=float32"]

CHEAP_PICTURES = ["network.width=8", "network.groups=4", "network.mults=[1]", "network.attention=[]", "network.patch=1"]
CHEAP_PICTURES += ["network.head_width=4", "network.blocks=1", "train.batch=2", "train.steps=1", "task.validation=2"]
CHEAP_PICTURES += ["task.previews=2", "sample.steps=2", "train.precision=float32"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("FILMGRAIN_ALLOCATOR", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FILMGRAIN_DEBUG", raising=False)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """The real entry point: exit code, standard output and standard error of a command."""

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        return Outcome(left.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def cheap() -> list[str]:
    """What makes any recipe a matter of seconds."""
    return [word for setting in CHEAP for word in ("--set", setting)]


@pytest.fixture
def cheap_pictures() -> list[str]:
    """The same of a recipe with the network of pictures."""
    return [word for setting in CHEAP_PICTURES for word in ("--set", setting)]


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def clips(tmp_path: Path) -> str:
    """Six GIFs of 8 frames, one of them in a sub-folder; a broken one, and a text."""
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    shapes = moving_shapes.Dataset(moving_shapes.Config(frames=8, height=16, width=24))
    for i in range(6):
        x = shapes.item(i, random.Random(i))["x"]
        write_gif(folder / ("more" if i == 5 else ".") / f"{i}.gif", x.transpose(1, 2, 3, 0), fps=10)
    (folder / "[broken].gif").write_bytes(b"GIF89a and nothing else")
    (folder / "notes.txt").write_text("not a video")
    return str(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps; not to be written into."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "tiny.toml"), "--run", str(folder / "run")])
    assert left.value.code == 0
    return folder / "run"
