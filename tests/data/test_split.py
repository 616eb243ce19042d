"""What is held out."""

import random
from pathlib import Path

import pytest
from clip_folder import config, edges, items
from moving_square import moving

from filmgrain.data import split
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif


def test_ten_clips_hold_out_whole_files_by_content(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    for n in range(12):
        write_gif(root / f"{n}.gif", moving(6, tint=140 + 8 * n), 10)
    (root / "copy of 3.gif").write_bytes((root / "3.gif").read_bytes())
    train, held_out = (Dataset(config(root, held_out=0.25), split) for split in ("train", "held_out"))
    digests = [{part.entry.digest for part in dataset.content.parts} for dataset in (train, held_out)]
    assert not digests[0] & digests[1] and len(digests[1]) == 3
    assert len(train.content.parts) + len(held_out.content.parts) == 13
    for n in range(12):
        (root / f"{n}.gif").rename(root / f"renamed {11 - n}.gif")
    again = Dataset(config(root, held_out=0.25), "held_out")
    assert {part.entry.digest for part in again.content.parts} == digests[1]


@pytest.mark.parametrize(("fraction", "held_out"), [(0, 0), (0.01, 1), (0.25, 3), (0.99, 11)])
def test_something_is_left_to_train_on(fraction: float, held_out: int) -> None:
    assert len(split.by_content([f"{n:x}" for n in range(12)], fraction)) == held_out


def test_few_clips_hold_out_the_end_of_the_long_ones(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "long.gif", moving(24), 10)
    write_gif(root / "short.gif", moving(12), 10)
    train, held_out = (Dataset(config(root, held_out=0.1), split) for split in ("train", "held_out"))
    assert [(p.name, p.first, p.last) for p in train.content.parts] == [("long.gif", 0, 19), ("short.gif", 0, 12)]
    assert [(p.name, p.first, p.last) for p in held_out.content.parts] == [("long.gif", 19, 24)]
    assert {round(edges(x).max()) for x in items(held_out)} == {23}
    assert max(edges(train.item(0, random.Random(n))["x"]).max() for n in range(99)) < 18.5


def test_nothing_held_out_is_said(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "short.gif", moving(12), 10)
    held_out = Dataset(config(root, held_out=0.1), "held_out")
    assert len(held_out) == 0 and "held_out: nothing" in held_out.summary()[0]
