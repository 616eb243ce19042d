"""Files decoded once, into a cache that can be damaged, elsewhere or full."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_folder import config, items
from moving_square import moving

from filmgrain.data import cache, transforms
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif
from filmgrain.files.video import read


def decodes(dataset: Callable[[], Dataset]) -> int:
    """How many files a dataset decodes: each is a file put into the cache."""
    before = {path.stat().st_ino for path in cache.folder().glob("*.clip")}
    kept = [path.open("rb") for path in cache.folder().glob("*.clip")]  # so that no number of theirs is given anew
    dataset()
    for file in kept:
        file.close()
    return len({path.stat().st_ino for path in cache.folder().glob("*.clip")} - before)


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


@pytest.mark.parametrize("damage", ["cut", "flip", "times", "length", "empty", "gone"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(20), 10)
    expected = items(Dataset(config(root)))
    (entry,) = cache.folder().iterdir()
    content = bytearray(entry.read_bytes())
    match damage:
        case "cut":
            content = content[:-100]
        case "flip":
            content[5000] ^= 1
        case "times":
            content[content.index(b'"times"') + 15] ^= 1
        case "length":
            content[-12] ^= 1
        case "empty":
            content.clear()
    entry.write_bytes(content)
    if damage == "gone":
        entry.unlink()
    assert decodes(lambda: Dataset(config(root))) == 1
    assert all(map(np.array_equal, items(Dataset(config(root))), expected))
    assert list(cache.folder().iterdir()) == [entry]  # no temporary file is left


@pytest.mark.parametrize("mapped", [0, 1 << 40])
def test_an_entry_is_what_was_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch, mapped: int) -> None:
    """Mapped, or read as small ones are."""
    monkeypatch.setattr(cache, "MAPPED", mapped)
    scaled = config(folder).scaled
    entries = [
        cache.make(path, cache.digest_of(path), scaled) for path in (folder / "clip2.gif", folder / "clip10.gif")
    ]
    for entry, name in zip(entries, ("clip2.gif", "clip10.gif"), strict=True):
        clip = read(folder / name, size=lambda height, width: transforms.cover(height, width, (24, 32)))
        assert cache.find(entry.digest, scaled) == entry
        assert entry.times == clip.times.tolist() and entry.duration == clip.duration
        np.testing.assert_array_equal(entry.frames(), clip.frames.transpose(3, 0, 1, 2))


@pytest.mark.skipif(sys.platform != "linux", reason="does not say what is open")
def test_a_folder_of_many_clips_does_not_keep_them_all_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file stays open, and systems allow 256 or 1024 of them."""
    monkeypatch.setattr(cache, "MAPPED", 0)
    entry = Dataset(config(folder)).content.parts[0].entry
    for number in range(300):
        os.link(entry.path, f"{entry.path}.{number}")
        replace(entry, path=f"{entry.path}.{number}").frames()
    assert sum(name.startswith(entry.path) for name in opened()) <= 130


def opened() -> list[str]:
    numbers = [int(number) for number in os.listdir("/dev/fd")]
    return [os.readlink(f"/dev/fd/{n}") for n in numbers if os.path.lexists(f"/dev/fd/{n}")]


def test_the_cache_can_be_elsewhere_and_says_when_it_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    Dataset(config(folder, cache=str(tmp_path / "there")))
    assert len(list((tmp_path / "there").glob("*.clip"))) == 6
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
