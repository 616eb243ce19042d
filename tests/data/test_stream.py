"""Shards read as they are needed: the same items from any place, in any number of processes; and what is wrong."""

import random
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archives import gif, packed, png
from moving_square import moving
from served import in_memory, served

from filmgrain.data import NoData, shard_cache, shards, stream
from filmgrain.data.loader import Loader
from filmgrain.data.shard_cache import ShardChanged
from filmgrain.data.shard_writer import write
from filmgrain.files import remote
from filmgrain.files.encode import write_mp4


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.0)
    shard_cache._reads.clear()
    shard_cache._spoilt.clear()
    stream._told.clear()


@cache
def members(part: int) -> dict[str, bytes]:
    """Of a shard of others: pictures with classes and captions, and clips."""
    files = {f"c{n}.gif": gif(4 + n, seed=4 * part + n) for n in range(4)}
    for n in range(10 * part, 10 * part + 10):
        files |= {f"{n:03}.png": png(n), f"{n:03}.cls": b"%d" % (n % 3), f"{n:03}.txt": b"number %d" % n}
    return files


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Four shards."""
    for part in range(4):
        packed(tmp_path / "shelf" / f"x-{part}.tar", members(part))
    return tmp_path / "shelf"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with a catalogue, of pictures in folders of classes."""
    folder = tmp_path_factory.mktemp("made")
    for n in range(60):
        path = folder / "files" / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n, 128, 128))
    write(str(folder / "files"), folder / "out", size=10**6, processes=1)
    return folder / "out"


@pytest.fixture(scope="module")
def whole(made: Path) -> dict[int, tuple[str, torch.Tensor]]:
    """What is drawn of them in more than an epoch."""
    return draws(dataset(made), count=64)


@pytest.fixture
def catalogued(tmp_path: Path, made: Path) -> Path:
    return shutil.copytree(made, tmp_path / "out")


def dataset(folder: str | Path, split: str = "train", **changes: Any) -> stream.Dataset:
    settings = {"folder": str(folder), "height": 12, "width": 16, "held_out": 0.0, "lanes": 2} | changes
    return stream.Dataset(stream.Config(**settings), split)


def draws(
    data: stream.Dataset, start: int = 0, count: int = 12, **settings: Any
) -> dict[int, tuple[str, torch.Tensor]]:
    """By draw number: source and x."""
    loader = Loader(data, **({"batch": 4, "seed": 3} | settings))
    batches = list(islice(loader.batches(start), -(-count // 4)))
    return {
        n: (source, x)
        for batch in batches
        for n, source, x in zip(batch["n"].tolist(), batch["source"], batch["x"], strict=True)
    }


def alike(one: dict[int, tuple[str, torch.Tensor]], other: dict[int, tuple[str, torch.Tensor]]) -> bool:
    return one.keys() == other.keys() and all(
        one[n][0] == other[n][0] and torch.equal(one[n][1], other[n][1]) for n in one
    )


@pytest.fixture(params=["file", "memory", "http", "http without ranges", "pattern"])
def url(request: pytest.FixtureRequest, shelf: Path) -> Iterator[str]:
    if request.param == "memory":
        yield in_memory(shelf, shelf.parent.name)
    elif request.param.startswith("http"):
        with served(shelf, ranges=request.param == "http") as (address, _):
            yield address
    else:
        yield f"file://{shelf}" if request.param == "file" else f"{shelf}/x-{{0..3}}.tar"


@pytest.mark.parametrize("frames", [0, 3])
def test_a_url_gives_what_the_folder_gives(shelf: Path, url: str, frames: int) -> None:
    changes = {"frames": frames, "flip": True, "crop": "random"}
    assert alike(draws(dataset(url, **changes), count=80), draws(dataset(shelf, **changes), count=80))


@pytest.mark.parametrize("frames", [0, 3])
def test_items_are_those_of_shards_decoded_beforehand(shelf: Path, frames: int) -> None:
    common = {"folder": str(shelf), "height": 12, "width": 16, "frames": frames, "held_out": 0.0, "flip": True}
    one, other = dataset(**common), shards.Dataset(shards.Config(**common, processes=1))
    assert len(one) == len(other) and one.classes == other.classes
    for index in range(len(one)):
        item, same = (data.item(index, random.Random(index)) for data in (one, other))
        assert np.array_equal(item.pop("x"), same.pop("x")) and item == same


def test_position_workers_and_parts_change_nothing(catalogued: Path) -> None:
    with served(catalogued) as (url, _):
        data = dataset(url)
        assert len(data.shards) > 2
        whole = draws(data, count=128)  # more than two epochs
        assert alike(draws(data, start=37, count=32), {n: whole[n] for n in range(37, 69)})
        assert alike(draws(dataset(url), count=64, workers=2), {n: whole[n] for n in range(64)})
        parts = [draws(dataset(url), count=64, part=(rank, 2)) for rank in (0, 1)]
        assert not parts[0].keys() & parts[1].keys()
        assert alike(dict(sorted((parts[0] | parts[1]).items())), {n: whole[n] for n in range(64)})


def test_classes_and_captions(shelf: Path) -> None:
    data = dataset(shelf)
    items = [data.item(n, random.Random(0)) for n in range(len(data))]
    assert data.classes == ["0", "1", "2"]
    assert all(item["caption"] == f"number {n}" and item["label"] == n % 3 for n, item in enumerate(items))
    assert "label" not in dataset(shelf, labels="none").item(0, random.Random(0))
    assert any("16 videos not used" in line for line in data.summary())


def test_splits_share_no_content_and_cover_all(shelf: Path) -> None:
    names = []
    for split in ("train", "held_out"):
        data = dataset(shelf, split, held_out=0.3)
        names.append({data.item(n, random.Random(0))["source"] for n in range(len(data))})
    assert not names[0] & names[1] and len(names[0] | names[1]) == 40 and 4 <= len(names[1]) <= 20


def test_shards_named_after_splits(tmp_path: Path) -> None:
    packed(tmp_path / "s" / "train-0.tar", {f"{n}.png": png(n) for n in range(4)})
    packed(tmp_path / "s" / "val-0.tar", {f"{n}.png": png(n) for n in range(4, 6)})
    assert [len(dataset(tmp_path / "s", split)) for split in ("train", "held_out")] == [4, 2]


# The disk that shards of a URL take


def there(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "filmgrain" / "clips" / "shards").glob("*/shard.tar"))


def test_a_shard_is_fetched_once_and_only_when_it_is_read_on(catalogued: Path, tmp_path: Path) -> None:
    with served(catalogued) as (url, server):
        data = dataset(url)
        draws(data, count=4)
        assert not there(tmp_path) and any("bytes=" in line for line in server.asked)
        draws(data, count=180)
        whole = [line for line in server.asked if line.endswith(".tar")]
        assert sorted(whole) == sorted({*whole}) and len(whole) == len(data.shards) == len(there(tmp_path))
        asked = len(server.asked)
        assert alike(draws(data, count=60), draws(dataset(catalogued), count=60)) and len(server.asked) == asked


def test_shards_make_room_for_others(catalogued: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_cache, "PARTS", 0)
    url = f"file://{catalogued}"
    data = dataset(url, lanes=1, room=0.0025)
    sizes = [shard.bytes for shard in data.shards]
    assert sum(sizes) > 2.5e6
    for start in range(0, 120, 4):
        draws(data, start=start, count=4)
        assert sum(path.stat().st_size for path in there(tmp_path)) <= 2.5e6
    with pytest.raises(NoData, match=r"data.room=0.001 GB has no place for data.lanes=1 shards"):
        dataset(url, lanes=1, room=0.001)


# What is wrong


def test_a_read_that_fails_is_tried_again_and_then_named(catalogued: Path) -> None:
    with served(catalogued) as (url, server):
        data = dataset(url)
        server.failing = remote.TRIES - 1
        first = data.item(0, random.Random(0))
        assert np.array_equal(first["x"], dataset(catalogued).item(0, random.Random(0))["x"])
        server.failing = 10**6
        with pytest.raises(remote.Unreachable, match=rf"shard-00000\d.tar: cannot be read after {remote.TRIES} tries"):
            data.item(1, random.Random(0))


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # in its first sample
    path.write_bytes(content[: 1000 if damage == "cut short" else None])
    if damage == "gone":
        path.unlink()


EVERY = [(place, damage) for place in ("folder", "file", "http") for damage in ("cut short", "another byte", "gone")]


@pytest.mark.parametrize(("place", "damage"), [*EVERY, ("http without ranges", "another byte")])
def test_a_shard_that_cannot_be_read_moves_no_item_of_the_others(
    whole: dict[int, tuple[str, torch.Tensor]],
    catalogued: Path,
    place: str,
    damage: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    spoil(catalogued / "shard-000001.tar", damage)
    lost = {n for n, (source, _) in whole.items() if source.startswith("shard-000001.tar/")}
    with served(catalogued, ranges=place == "http") as (address, _):
        url = {"folder": str(catalogued), "file": f"file://{catalogued}"}.get(place, address)
        found = draws(dataset(url), count=64)
        said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("left out")]
        parts = [draws(dataset(url), count=64, part=(rank, 2), workers=1) for rank in (0, 1)]
    assert 64 / 4 < len(lost) < 64 / 2 and found.keys() == whole.keys()
    assert alike({n: found[n] for n in found if n not in lost}, {n: whole[n] for n in whole if n not in lost})
    anew = [n for n in lost if found[n][0] != whole[n][0]]
    some = damage == "another byte" and "without" not in place  # of the shard can be read
    assert 0 < len(anew) <= (3 if some else 64) and (some or len(anew) == len(lost))
    assert len({found[n][0] for n in anew}) > len(anew) // 4  # from all over
    assert alike(dict(sorted((parts[0] | parts[1]).items())), found)
    assert len(said) == 1 and "shard-000001.tar" in said[0]


def test_where_nothing_can_be_read_the_run_ends(catalogued: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = dataset(catalogued)
    for path in catalogued.glob("*.tar"):
        path.unlink()
    with pytest.raises(
        ShardChanged, match=r"64 draws in a row cannot be read, the last one .*shard-00000\d.tar: No such"
    ):
        data.item(0, random.Random(0))
    assert len(capsys.readouterr().err.splitlines()) == len(data.shards)


def test_a_shard_of_which_nothing_is_known_is_none(shelf: Path) -> None:
    """The run on all that lies there equals the run on what can be used of it."""
    expected = draws(dataset(shelf), count=80)
    (shelf / "x-1b.tar").write_bytes(b"no shard at all")
    (shelf / "x-2b.tar").write_bytes(b"")
    packed(shelf / "x-3b.tar", {"notes.txt": b"no sample"})
    data = dataset(shelf)
    assert alike(draws(data, count=80), expected)
    assert [refused.path for refused in data.refused] == ["x-1b.tar", "x-2b.tar"]


def test_a_catalogue_or_an_index_that_was_changed(catalogued: Path) -> None:
    index, catalogue = catalogued / "shard-000001.index.jsonl", catalogued / "shards.json"
    kept = index.read_bytes()
    index.write_bytes(kept[:-1])
    for folder in (catalogued, f"file://{catalogued}"):
        with pytest.raises(ShardChanged, match=r"shard-000001.index.jsonl is missing or not what shards.json says"):
            dataset(folder)
    index.write_bytes(kept)
    text = catalogue.read_text()
    for damaged in (
        text[:-9],
        text.replace('"version": 1', '"version": 9'),
        text.replace("shard-000001", "../x"),
        "[]",
    ):
        catalogue.write_text(damaged)
        with pytest.raises(NoData, match=r"shards.json is damaged"):
            dataset(catalogued)


def test_a_file_that_cannot_be_decoded_gives_its_place_to_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mp4(tmp_path / "x.mp4", moving(30, 32, 48), 25)
    spoilt = bytearray((tmp_path / "x.mp4").read_bytes())
    spoilt[-300:] = b"\xa5" * 300  # the first frames are sound, and so what is told of it
    films = {f"{n}.mp4": bytes(spoilt) if n in (2, 3) else gif(seed=n) for n in range(6)}
    packed(tmp_path / "s" / "x.tar", films)
    data = dataset(tmp_path / "s", frames=6)
    sources = [data.item(n, random.Random(0))["source"] for n in range(len(data))]
    assert sources[:2] + sources[-2:] == [f"x.tar/{n}.mp4" for n in (0, 1, 4, 5)]
    assert len(sources) > 6 and {*sources} == {*sources[:2], *sources[-2:]}
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and said[0].startswith("left out x.tar/2.mp4: ")
    packed(tmp_path / "bad" / "x.tar", {f"{n}.mp4": bytes(spoilt) for n in range(2)})
    with pytest.raises(NoData, match=r"64 draws in a row cannot be read.*\.mp4: frame 12"):
        dataset(tmp_path / "bad", frames=6).item(0, random.Random(0))


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("missing", "is not there; give a folder of NAME.tar"),
        ("memory://nowhere", "nothing is there"),
        ("odd://place", "Protocol not known: odd"),
        ("x-{9..0}.tar", "stands for"),
    ],
)
def test_a_place_of_no_use_is_one_line(tmp_path: Path, folder: str, says: str) -> None:
    with pytest.raises((NoData, remote.Unreachable)) as error:
        dataset(folder if "://" in folder else tmp_path / folder)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_without_fsspec_a_url_is_one_line_and_a_folder_is_read(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert len(dataset(shelf)) == 40
    with pytest.raises(remote.Unreachable, match=r"s3://bucket/.*pip install 'filmgrain\[remote\]'"):
        dataset("s3://bucket")
