"""A folder of one's own with GIFs and pictures where the examples look for them, and the other packages."""

from pathlib import Path

import numpy as np
import pytest
from peers import ddp, peer

from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png

__all__ = ["ddp", "peer"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder and with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (4, 5, 8, 8, 3), dtype=np.uint8)
    Path("data").mkdir()
    Path("path/to/your/images").mkdir(parents=True)
    for number, clip in enumerate(clips):
        write_gif(Path(f"data/{number}.gif"), clip, 10)
        write_png(Path(f"path/to/your/images/{number}.png"), clip[0])
