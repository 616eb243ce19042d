"""Tar shards in the WebDataset layout: what is one sample, random access, the index, bad members, splits."""

import gzip
import json
import os
import random
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archives import gif, packed, png
from PIL import Image

from filmgrain.data import NoData, cache, tar_index
from filmgrain.data.loader import Loader
from filmgrain.data.shards import Config, Dataset


def dataset(folder: Path, split: str = "train", **changes: Any) -> Dataset:
    settings = {"folder": str(folder), "height": 12, "width": 16, "held_out": 0.0, "processes": 1} | changes
    return Dataset(Config(**settings), split)


def every(data: Dataset) -> dict[str, dict[str, Any]]:
    return {item["source"]: item for item in (data.item(n, random.Random(n)) for n in range(len(data)))}


def pixels(content: bytes, folder: Path) -> np.ndarray:
    (folder / "one.png").write_bytes(content)
    return np.asarray(Image.open(folder / "one.png")).transpose(2, 0, 1)


def shard(path: Path, numbers: range, **texts: Any) -> Path:
    """A shard of pictures, with texts such as cls="{n}" beside each."""
    files = {}
    for n in numbers:
        files[f"{n:04}.png"] = png(n)
        files |= {f"{n:04}.{suffix}": text.replace("{n}", str(n)).encode() for suffix, text in texts.items()}
    return packed(path, files)


def test_members_of_a_key_are_one_sample(tmp_path: Path) -> None:
    files = {
        "dir/a.jpg.txt": b"of no key that has a picture",
        "dir/b.png": png(1),
        "dir/b.txt": b"a caption\n",
        "dir/b.json": b'{"caption": "another", "label": "dog", "width": 3}',
        "c.mask.png": png(2),
        "c.png": png(3),
        "c.cls": b" cat\n",
        "c.npy": b"\x93NUMPY",
        "d.PNG": png(4),
        "d.json": json.dumps({"text": "a\ntext", "label": 7}).encode(),
        "no suffix": b"x",
        ".hidden.png": png(5),
    }
    packed(tmp_path / "s" / "x.tar", files)
    data = dataset(tmp_path / "s")
    assert data.classes == ["7", "cat", "dog"] and not data.refused
    found = every(data)
    assert {source: (item["label"], item["caption"]) for source, item in found.items()} == {
        "x.tar/dir/b.png": (2, "a caption"), "x.tar/c.png": (1, ""), "x.tar/d.PNG": (0, "a text"),
    }  # fmt: skip
    assert np.array_equal(found["x.tar/c.png"]["x"], pixels(png(3), tmp_path))
    assert data.listing.ignored == {".png": 2, ".npy": 1, "without suffix": 1}
    assert "label" not in dataset(tmp_path / "s", labels="none").item(0, random.Random(0))


def test_items_are_those_of_the_unpacked_files(tmp_path: Path) -> None:
    for n in range(3):
        shard(tmp_path / "s" / f"part-{n:02}.tar", range(4 * n, 4 * n + 4), cls="{n}")
    data = dataset(tmp_path / "s")
    expected = np.stack([pixels(png(n), tmp_path) for n in range(12)])
    assert [data.item(n, random.Random(0))["label"] for n in range(12)] == list(range(12))
    order = random.Random(3).sample(range(12), 12)  # any order
    assert np.array_equal(np.stack([data.item(n, random.Random(0))["x"] for n in order]), expected[order])
    one = dataset(tmp_path / "s" / "part-01.tar")
    assert len(one) == 4 and one.item(0, random.Random(0))["source"] == "part-01.tar/0004.png"


def test_clips_or_pictures_by_what_is_asked(tmp_path: Path) -> None:
    files = {f"{n}.gif": gif(6 + n, seed=n) for n in range(4)} | {
        "still.png": png(),
        "0.txt": b"zero",
        "still.txt": b"s",
    }
    packed(tmp_path / "s" / "x.tar", files)
    clips, stills = dataset(tmp_path / "s", frames=3), dataset(tmp_path / "s")
    assert clips.config.shape == clips.item(0, random.Random(0))["x"].shape == (3, 3, 12, 16)
    assert {item["source"] for item in every(clips).values()} == {f"x.tar/{n}.gif" for n in range(4)}
    assert every(clips)["x.tar/0.gif"]["caption"] == "zero" and every(clips)["x.tar/3.gif"]["caption"] == ""
    assert len(clips) == 2 + 2 + 2 + 3 and "1 pictures not used; data.frames=0 takes them" in clips.summary()
    assert len(stills) == 1 and "4 videos not used; data.frames=16 takes them" in stills.summary()
    first = clips.item(0, random.Random(4))["x"]
    whole = np.stack([f.convert("RGB") for f in frames_of(tmp_path, gif(6))]).transpose(3, 0, 1, 2)
    assert any(np.array_equal(first, whole[:, start : start + 3]) for start in range(4))


def frames_of(folder: Path, content: bytes) -> list[Image.Image]:
    (folder / "one.gif").write_bytes(content)
    image = Image.open(folder / "one.gif")
    frames = []
    for n in range(image.n_frames):
        image.seek(n)
        frames.append(image.copy())
    return frames


# What is held out


def test_shards_named_after_splits_are_the_splits(tmp_path: Path) -> None:
    shard(tmp_path / "s" / "flowers-train-000.tar", range(6))
    shard(tmp_path / "s" / "deep" / "flowers-val-000.tar", range(6, 8))
    train, held_out = (dataset(tmp_path / "s", split) for split in ("train", "held_out"))
    assert (len(train), len(held_out)) == (6, 2)
    assert {source.split("/")[0] for source in every(held_out)} == {"deep"}


def test_a_part_is_held_out_by_content_wherever_it_lies(tmp_path: Path) -> None:
    shard(tmp_path / "a" / "x.tar", range(20))
    for n in range(4):
        shard(tmp_path / "b" / f"{n}.tar", range(n, 20, 4))
    chosen = []
    for folder in ("a", "b"):
        train, held_out = (dataset(tmp_path / folder, split, held_out=0.2) for split in ("train", "held_out"))
        names = [{source.rpartition("/")[2] for source in every(data)} for data in (train, held_out)]
        assert len(names[0]) == 16 and len(names[1]) == 4 and not names[0] & names[1]
        chosen.append(names[1])
    assert chosen[0] == chosen[1]


# The index


def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the shards that are read through, from now on."""
    made: list[str] = []
    original = tar_index.build
    monkeypatch.setattr(tar_index, "build", lambda path: made.append(path.name) or original(path))
    return made


def test_a_shard_is_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [shard(tmp_path / "s" / f"{n}.tar", range(3), cls="{n}", txt="number {n}") for n in range(2)]
    made = built(monkeypatch)
    first = every(dataset(tmp_path / "s"))
    assert made == ["0.tar", "1.tar"]
    again = every(dataset(tmp_path / "s", flip=False))
    assert made == ["0.tar", "1.tar"]
    assert all(np.array_equal(first[key].pop("x"), again[key].pop("x")) and first[key] == again[key] for key in first)
    before = paths[1].stat()
    shard(paths[1], range(3, 6), cls="{n}", txt="number {n}")  # of the same size, its time stamp kept
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[1].stat().st_size == before.st_size and paths[1].stat().st_mtime_ns == before.st_mtime_ns
    assert np.array_equal(every(dataset(tmp_path / "s"))["1.tar/0003.png"]["x"], pixels(png(3), tmp_path))
    assert made == ["0.tar", "1.tar", "1.tar"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 2, "bytes": 9}\n[1, 2]'])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path / "s" / "x.tar", range(3))
    expected = every(dataset(tmp_path / "s"))
    (kept,) = cache.folder().glob("*.index.jsonl")
    kept.write_bytes(damage)
    made = built(monkeypatch)
    assert every(dataset(tmp_path / "s")).keys() == expected.keys() and made == ["x.tar"]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    shard(tmp_path / "s" / "x.tar", range(3))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write the cache .*file .*data.cache"):
        dataset(tmp_path / "s", cache=str(tmp_path / "file"))


# What is wrong


def spoilt() -> dict[str, bytes]:
    """Members that cannot be used, or whose texts cannot."""
    return {
        "bad1.png": b"no picture",
        "bad2.png": png(1)[:-40],
        "bad3.gif": gif()[:-60],
        "bad4.jpg": b"",
        "bad5.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "bad6.webm": b"\x1a\x45\xdf\xa3" + random.Random(0).randbytes(500),
        "../../bad7.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        "/bad8.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        "bad\n9.png": b"GIF89a",
    }


@pytest.mark.parametrize("frames", [0, 2])
def test_a_run_with_bad_members_equals_the_run_without(tmp_path: Path, frames: int) -> None:
    good = {f"{n}.png": png(n) for n in range(5)} | {f"g{n}.gif": gif(seed=n) for n in range(5)}
    packed(tmp_path / "clean" / "x.tar", good)
    packed(tmp_path / "spoilt" / "x.tar", spoilt() | good)

    def batches(folder: str) -> list[dict[str, Any]]:
        data = dataset(tmp_path / folder, frames=frames, flip=True)
        return list(islice(Loader(data, batch=3, seed=0).batches(), 5))

    for clean, dirty in zip(batches("clean"), batches("spoilt"), strict=True):
        assert torch.equal(clean["x"], dirty["x"]) and clean["source"] == dirty["source"]
    refused = [refused for data in (dataset(tmp_path / "spoilt", frames=n) for n in (0, 2)) for refused in data.refused]
    assert {r.path for r in refused} == {f"x.tar/{name}".replace("\n", "\\n").replace("//", "/") for name in spoilt()}
    assert all(r.reason and "\n" not in r.reason for r in refused)


def test_texts_that_cannot_be_read_leave_the_picture(tmp_path: Path) -> None:
    files = {f"{n}.png": png(n) for n in range(4)} | {
        "0.txt": b"\xff\xff",
        "1.json": b"[1]",
        "2.json": b'{"label": 1.5}',
    }
    packed(tmp_path / "s" / "x.tar", files | {"3.txt": b"fine"})
    data = dataset(tmp_path / "s")
    assert [refused.path for refused in data.refused] == ["x.tar/0.txt", "x.tar/1.json", "x.tar/2.json"]
    assert [item["caption"] for item in every(data).values()] == ["", "", "", "fine"] and data.classes is None


def test_a_member_without_the_class_that_others_have(tmp_path: Path) -> None:
    packed(tmp_path / "s" / "x.tar", {"a.png": png(1), "a.cls": b"1", "b.png": png(2), "c.png": png(3), "c.cls": b"0"})
    data = dataset(tmp_path / "s")
    assert data.classes == ["0", "1"] and [r.path for r in data.refused] == ["x.tar/b.png"]
    assert len(dataset(tmp_path / "s", labels="none")) == 3


def test_a_shard_cut_short_gives_what_comes_before(tmp_path: Path) -> None:
    path = shard(tmp_path / "s" / "x.tar", range(8))
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        ends = [member.offset_data + member.size for member in tar]
    for kept, end in ((5, ends[4] + 300), (5, ends[5] - 100), (0, 100)):
        path.write_bytes(whole[:end])
        if not kept:
            with pytest.raises(NoData, match=r"holds no usable picture in its 1 shards .*x.tar: "):
                dataset(tmp_path / "s")
            continue
        data = dataset(tmp_path / "s")
        assert [source for source in every(data)] == [f"x.tar/{n:04}.png" for n in range(kept)]
        assert {refused.path for refused in data.refused} <= {"x.tar", "x.tar/0005.png"} and data.refused
    path.write_bytes(whole)
    assert len(dataset(tmp_path / "s")) == 8


def test_a_shard_that_is_none(tmp_path: Path) -> None:
    path = shard(tmp_path / "s" / "good.tar", range(2))
    (tmp_path / "s" / "packed.tar").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "s" / "page.tar").write_bytes(b"<html>404</html>" * 100)
    (tmp_path / "s" / "empty.tar").touch()
    data = dataset(tmp_path / "s")
    assert len(data) == 2 and [refused.path for refused in data.refused] == ["empty.tar", "packed.tar", "page.tar"]
    assert "unpack it with gunzip" in data.refused[1].reason


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda root: root / "missing", "is not there; give a folder of NAME.tar"),
        (lambda root: root, "holds no shards; give a folder of NAME.tar"),
        (lambda root: packed(root / "s" / "x.tar", {"a.txt": b"x"}), "holds no usable picture in its 1 shards"),
        (lambda root: packed(root / "s" / "x.tar", {"a.gif": gif()}), "(1 videos, 0 refused); expected KEY.jpg"),
    ],
    ids=["missing", "empty", "texts", "videos"],
)
def test_a_folder_of_no_use_is_one_line(tmp_path: Path, made: Any, says: str) -> None:
    with pytest.raises(NoData) as error:
        dataset(made(tmp_path))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_settings_that_make_no_sense() -> None:
    bad = ({"frames": -1}, "use 0 for pictures"), ({"labels": "cls"}, "auto, none"), ({"fps": -1.0}, "fps of 0")
    for setting, says in (*bad, ({"crop": "top"}, "centre, random"), ({"processes": -1}, "use 0")):
        with pytest.raises(ValueError, match=says):
            Config(folder="x", **setting)
