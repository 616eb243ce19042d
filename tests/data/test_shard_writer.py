"""`filmgrain data shard`: what is written, that it is a function of the files, goes on, and leaves out what is bad."""

import json
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import gif, png

from filmgrain.data import NoData, shard_writer, shards, stream
from filmgrain.data.shard_writer import OtherShards, write
from filmgrain.files import fsio


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Pictures in folders of classes, some with captions; a clip in each; and what is bad."""
    root = tmp_path / "files"
    for n in range(24):
        folder = root / ("cat", "dog")[n % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"my.picture {n}.png").write_bytes(png(n, 200, 200))
    (root / "cat" / "my.picture 0.txt").write_text("a cät\n")
    (root / "cat" / "clip.gif").write_bytes(gif(7))
    (root / "dog" / "bad.png").write_bytes(png(3)[:-40])
    (root / "dog" / "bad.mp4").write_bytes(b"#EXTM3U\n/etc/passwd\n")
    return root


def shard(files: Path, out: Path, size: int = 10**6, **settings: Any) -> shard_writer.Written:
    return write(str(files), out, size=size, processes=1, **settings)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != "lock"}


def test_what_is_written_is_what_there_was(files: Path, tmp_path: Path) -> None:
    written = shard(files, tmp_path / "out")
    assert (written.shards, written.made, written.pictures, written.clips) == (3, 3, 24, 1)
    assert sorted(name for name, _ in written.refused) == ["dog/bad.mp4", "dog/bad.png"]
    found = {}
    for number in range(3):
        with tarfile.open(tmp_path / "out" / f"shard-{number:06d}.tar") as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        keys = [name.partition(".")[0] for name in members]
        assert keys == sorted(keys) and all(f"{key}.json" in members for key in keys)
        for name, content in members.items():
            key, _, suffix = name.partition(".")
            if suffix in ("png", "gif"):
                about = json.loads(members[f"{key}.json"])
                found[about["file"]] = about["label"]
                assert content == (files / about["file"]).read_bytes()
                assert (f"{key}.txt" in members) == (about["file"] == "cat/my.picture 0.png")
    assert len(found) == 25 and all(name.startswith(label) for name, label in found.items())
    catalogue = json.loads((tmp_path / "out" / "shards.json").read_text())
    assert len(catalogue["shards"]) == 3 and len(catalogue["refused"]) == 2


def test_both_readers_take_them(files: Path, tmp_path: Path) -> None:
    shard(files, tmp_path / "out")
    common: dict[str, Any] = {"folder": str(tmp_path / "out"), "height": 12, "width": 16, "held_out": 0.0}
    one, other = stream.Dataset(stream.Config(**common)), shards.Dataset(shards.Config(**common, processes=1))
    assert len(one) == len(other) == 24 and one.classes == other.classes == ["cat", "dog"]
    for n in range(24):
        item, same = (data.item(n, random.Random(0)) for data in (one, other))
        assert np.array_equal(item.pop("x"), same.pop("x")) and item == same
    assert [refused.path for refused in one.refused] == ["dog/bad.mp4", "dog/bad.png"]


def test_the_same_files_make_the_same_bytes(files: Path, tmp_path: Path) -> None:
    shard(files, tmp_path / "one")
    shutil.copytree(files, tmp_path / "elsewhere")  # which keeps times
    shard(tmp_path / "elsewhere", tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("kept", [1, 2])
def test_a_second_run_goes_on(files: Path, tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(files, tmp_path / "whole")
    made = []

    def stop(path: Path, *arguments: Any) -> Any:
        if len(made) == kept:
            raise KeyboardInterrupt
        made.append(path.name)
        return original(path, *arguments)

    original = shard_writer._make
    monkeypatch.setattr(shard_writer, "_make", stop)
    with pytest.raises(KeyboardInterrupt):
        shard(files, tmp_path / "out")
    assert "shards.json" not in contents(tmp_path / "out")
    monkeypatch.setattr(shard_writer, "_make", original)
    assert shard(files, tmp_path / "out").made == 3 - kept
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert shard(files, tmp_path / "out").made == 0


def test_a_kill_before_the_rename_leaves_no_shard(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(fsio, "sync", full)
        with pytest.raises(OSError, match="No space left"):
            shard(files, tmp_path / "out")
    assert not contents(tmp_path / "out")
    assert shard(files, tmp_path / "out").made == 3


def test_other_shards_are_not_written_over(files: Path, tmp_path: Path) -> None:
    shard(files, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(OtherShards, match=r"another --size.*; give a new folder"):
        shard(files, tmp_path / "out", size=2 * 10**6)
    (files / "cat" / "my.picture 0.txt").write_text("another text\n")
    with pytest.raises(OtherShards, match=r"was made of other files"):
        shard(files, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    (tmp_path / "foreign").mkdir()
    shutil.copy(tmp_path / "out" / "shard-000000.tar", tmp_path / "foreign")
    with pytest.raises(OtherShards, match=r"foreign/shard-000000.tar is of other shards"):
        shard(files, tmp_path / "foreign")


def test_folders_of_splits_are_kept_apart(tmp_path: Path) -> None:
    for n in range(8):
        path = tmp_path / "files" / ("train", "test")[n // 6] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n))
    shard(tmp_path / "files", tmp_path / "out")
    assert [name for name in contents(tmp_path / "out") if name.endswith(".tar")] == [
        "train-000000.tar", "val-000000.tar",
    ]  # fmt: skip
    config = stream.Config(folder=str(tmp_path / "out"), height=12, width=16)
    assert [len(stream.Dataset(config, split)) for split in ("train", "held_out")] == [6, 2]


def test_bad_input_is_one_line(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a shard of 9 bytes is too small"):
        shard(files, tmp_path / "out", size=9)
    with pytest.raises(NoData, match=r"is not there"):
        shard(tmp_path / "missing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoData, match=r"holds no usable video or still"):
        shard(tmp_path / "empty", tmp_path / "out")
