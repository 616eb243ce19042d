"""A folder of small real files, and a cache of its own for each test."""

from pathlib import Path

import pytest
from moving_square import moving, write_frames, write_webm, write_webp
from PIL import Image

from filmgrain.files.encode import write_gif, write_mp4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bit of everything that a folder of videos may hold: formats, sizes, lengths and rates; and stills."""
    root = tmp_path / "clips"
    (root / "deep" / "er").mkdir(parents=True)
    write_gif(root / "clip2.gif", moving(20), 10)
    write_gif(root / "clip10.gif", moving(6, 40, 30), 5)
    write_mp4(root / "deep" / "a.mp4", moving(40, 32, 48), 25)
    write_webp(root / "deep" / "er" / "b.webp", moving(12, 17, 23), 20)
    write_webm(root / "deep" / "er" / "c.webm", moving(15, 24, 24), 30)
    write_frames(root / "shots" / "first", moving(11))
    Image.fromarray(moving(1, 21, 35)[0]).save(root / "still.png")
    Image.fromarray(moving(1, 35, 21)[0]).convert("L").save(root / "grey.jpg")
    (root / "notes.txt").write_text("not a video")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return root
