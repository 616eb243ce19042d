"""A folder of one's own with GIFs and pictures, and the peers' modules by the fixtures of tests/interop."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png

_spec = importlib.util.spec_from_file_location("peers", Path(__file__).parents[1] / "interop/conftest.py")
_peers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_peers)
peer, ddp = _peers.peer, _peers.ddp


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a cache of its own, and the data where the examples look for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (4, 5, 8, 8, 3), dtype=np.uint8)
    Path("data").mkdir()
    Path("path/to/your/images").mkdir(parents=True)
    for number, clip in enumerate(clips):
        write_gif(Path(f"data/{number}.gif"), clip, 10)
        write_png(Path(f"path/to/your/images/{number}.png"), clip[0])
