"""Files decoded once, into a cache that can be damaged, elsewhere or full."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_folder import config, items
from moving_square import moving

from filmgrain.data import cache
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif


def decodes(dataset: Callable[[], Dataset]) -> int:
    """How many files a dataset decodes: each is a file put into the cache."""
    before = {path.stat().st_ino for path in cache.folder().glob("*.npy")}
    kept = [path.open("rb") for path in cache.folder().glob("*.npy")]  # so that no number of theirs is given anew
    dataset()
    for file in kept:
        file.close()
    return len({path.stat().st_ino for path in cache.folder().glob("*.npy")} - before)


def test_a_file_is_decoded_once_whatever_it_is_called(folder: Path) -> None:
    assert decodes(lambda: Dataset(config(folder))) == 6
    assert decodes(lambda: Dataset(config(folder))) == 0
    (folder / "clip2.gif").rename(folder / "other.gif")
    assert decodes(lambda: Dataset(config(folder, frames=3, flip=True))) == 0
    assert decodes(lambda: Dataset(config(folder, height=16))) == 6
    for n in range(2):  # same name, other content, the time stamp kept
        before = (folder / "other.gif").stat()
        write_gif(folder / "other.gif", moving(20, tint=200 + n), 10)
        os.utime(folder / "other.gif", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert decodes(lambda: Dataset(config(folder))) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "times", "gone"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(20), 10)
    expected = items(Dataset(config(root)))
    (frames,), (about,) = (list(cache.folder().glob(pattern)) for pattern in ("*.npy", "*.json"))
    content = bytearray(frames.read_bytes())
    match damage:
        case "cut":
            frames.write_bytes(content[:-100])
        case "flip":
            content[5000] ^= 1
            frames.write_bytes(content)
        case "header":
            frames.write_bytes(b"\0" * len(content))
        case "times":
            about.write_text(about.read_text()[:-5])
        case "gone":
            frames.unlink()
    assert decodes(lambda: Dataset(config(root))) == 1
    assert all(map(np.array_equal, items(Dataset(config(root))), expected))
    assert {path.suffix for path in cache.folder().iterdir()} == {".npy", ".json"}  # no temporary file is left


def test_the_cache_can_be_elsewhere_and_says_when_it_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    Dataset(config(folder, cache=str(tmp_path / "there")))
    assert len(list((tmp_path / "there").glob("*.npy"))) == 6
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write the cache .*file .*data.cache"):
        Dataset(config(folder, cache=str(tmp_path / "file")))


def test_progress_is_told_in_the_caller_s_thread_and_may_stop_it(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    Dataset(config(folder), progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dataset(config(folder, height=20), progress=stop)
