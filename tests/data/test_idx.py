"""The family of MNIST: idx files packed and plain, their names of classes, and what is wrong with them in one line."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import idx as encoded
from archives import noise, write_idx

from filmgrain.data import NoData
from filmgrain.data.idx import KNOWN, Config, Dataset


def dataset(folder: Path, split: str = "train", **changes: Any) -> Dataset:
    return Dataset(Config(**{"folder": str(folder)} | changes), split)


def items(data: Dataset) -> list[dict[str, Any]]:
    return [data.item(n, random.Random(n)) for n in range(len(data))]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
def test_both_splits_are_the_files_own(tmp_path: Path, packed: bool, place: str) -> None:
    write_idx(tmp_path / "d" / place, packed=packed)
    train, held_out = (dataset(tmp_path / "d", split) for split in ("train", "held_out"))
    assert (len(train), len(held_out)) == (30, 12)
    for data, count in ((train, 30), (held_out, 12)):
        pixels = noise(count, 28, 28, seed=count)
        for n, item in enumerate(items(data)):
            assert item["x"].shape == (1, 32, 32) == data.config.shape and item["label"] == n % 10
            assert np.array_equal(item["x"][0, 2:30, 2:30], pixels[n]) and item["x"].sum() == pixels[n].sum()
    assert train.item(7, random.Random(0))["source"].startswith("train-images-idx3-ubyte") and train.classes == list(
        "0123456789"
    )
    assert train.summary() == [
        "train: 30 pictures of 28x28, grey",
        "train: 10 classes of 3 pictures each: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    ]
    assert held_out.summary()[1] == "held_out: 10 classes of 1 to 2 pictures"


def test_three_channels_are_the_same_grey(tmp_path: Path) -> None:
    write_idx(tmp_path)
    grey, colour = (dataset(tmp_path, channels=channels, height=28, width=28) for channels in (1, 3))
    assert colour.config.shape == (3, 28, 28)
    for one, three in zip(items(grey), items(colour), strict=True):
        assert np.array_equal(three["x"], np.concatenate(3 * [one["x"]])) and one["label"] == three["label"]


def test_scaled_pictures_keep_their_content(tmp_path: Path) -> None:
    write_idx(tmp_path)
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8) * 9, (30, 28, 28))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(encoded(np.ascontiguousarray(ramp))))
    x = dataset(tmp_path, height=14, width=14, fit="scale").item(0, random.Random(0))["x"][0].astype(int)
    assert np.abs(x - (np.arange(14) * 18 + 4)).max() <= 6
    assert dataset(tmp_path, height=14, width=40, fit="scale").item(0, random.Random(0))["x"].shape == (1, 14, 40)


def test_a_flip_is_half_of_the_draws(tmp_path: Path) -> None:
    write_idx(tmp_path)
    data, original = dataset(tmp_path, flip=True), dataset(tmp_path).item(3, random.Random(0))["x"]
    drawn = [data.item(3, random.Random(n))["x"] for n in range(200)]
    kept = [np.array_equal(x, original) for x in drawn]
    assert all(same or np.array_equal(x, original[..., ::-1]) for same, x in zip(kept, drawn, strict=True))
    assert 60 < sum(kept) < 140


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_a_part_of_the_training_files_by_content(tmp_path: Path, split: str) -> None:
    write_idx(tmp_path)
    pixels = noise(30, 28, 28, seed=30)
    pixels[20:] = pixels[:10]  # copies fall on one side
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(encoded(pixels)))
    data = dataset(tmp_path, split, held_out=0.3)
    numbers = {int(item["source"].rpartition(":")[2]) for item in items(data)}
    assert {number for number in numbers if number < 10} == {number - 20 for number in numbers if number >= 20}
    assert len({number % 20 for number in numbers}) == (14 if split == "train" else 6)


def test_without_test_files_nothing_is_held_out_but_a_part(tmp_path: Path) -> None:
    write_idx(tmp_path)
    for path in tmp_path.glob("t10k*"):
        path.unlink()
    held_out = dataset(tmp_path, "held_out")
    assert len(held_out) == 0 and "t10k-images-idx3-ubyte is not there" in held_out.summary()[0]
    assert len(dataset(tmp_path, "held_out", held_out=0.1)) == 3


# Names of classes


@pytest.mark.parametrize(
    ("folder", "names", "expected"),
    [
        ("fashion-mnist", "auto", KNOWN["fashion"]),
        ("data", "fashion", KNOWN["fashion"]),
        ("mnist", "auto", KNOWN["digits"]),
        ("fashion", "digits", KNOWN["digits"]),
        ("data", tuple("abcdefghij"), tuple("abcdefghij")),
    ],
)
def test_names_of_classes(tmp_path: Path, folder: str, names: Any, expected: tuple[str, ...]) -> None:
    write_idx(tmp_path / folder)
    assert dataset(tmp_path / folder, names=names).classes == list(expected)


def test_pictures_without_labels_have_no_classes(tmp_path: Path) -> None:
    write_idx(tmp_path)
    for path in tmp_path.glob("*labels*"):
        path.unlink()
    data = dataset(tmp_path)
    assert data.classes is None and data.item(0, random.Random(0)).keys() == {"x", "source"}


def test_one_of_several_sets(tmp_path: Path) -> None:
    for prefix, count in (("emnist-letters", 8), ("emnist-digits", 9)):
        write_idx(tmp_path / "made", train=count)
        for path in (tmp_path / "made").iterdir():
            path.rename(tmp_path / f"{prefix}-{path.name}")
    (tmp_path / "made").rmdir()
    assert len(dataset(tmp_path, prefix="emnist-digits")) == 9
    for prefix in ("", "emnist-all"):
        with pytest.raises(NoData, match=r"holds the sets emnist-digits, emnist-letters; set data.prefix"):
            dataset(tmp_path, prefix=prefix)


# What is wrong


def spoilt(change: Callable[[bytes], bytes], name: str = "train-images-idx3-ubyte", pack: bool = True) -> Any:
    def change_it(folder: Path) -> None:
        path = folder / f"{name}.gz"
        content = change(gzip.decompress(path.read_bytes()))
        path.write_bytes(gzip.compress(content) if pack else content)

    return change_it


def cut_packed(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-2000])


def flipped_packed(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


LABELS = "train-labels-idx1-ubyte"
WRONG = {
    "wrong magic": (
        spoilt(lambda b: b"\0\0\x0d\3" + b[4:]),
        "begins with 00 00 0d 03; an idx file of",
    ),
    "labels for images": (spoilt(lambda b: encoded(noise(30))), "begins with 00 00 08 01"),
    "empty": (spoilt(lambda b: b""), "begins with nothing"),
    "header cut": (spoilt(lambda b: b[:9]), "ends inside its header"),
    "cut short": (spoilt(lambda b: b[:-100]), "has 23,420 of the 23,520 bytes that its header says"),
    "too long": (spoilt(lambda b: b + b"x"), "has more than the 23,520 bytes that its header says"),
    "cut short while packed": (cut_packed, "end-of-stream"),
    "damaged while packed": (flipped_packed, "train-images-idx3-ubyte.gz: "),
    "a page": (spoilt(lambda b: b"<html>404</html>", pack=False), "begins with 3c 68 74 6d"),
    "a bomb": (spoilt(lambda b: b[:4] + b"\xff" * 12), "claims 4294967295 x 4294967295 x 4294967295 bytes"),
    "no pictures": (spoilt(lambda b: encoded(noise(0, 28, 28))), "holds no pictures"),
    "labels too few": (spoilt(lambda b: encoded(noise(29) % 10), LABELS), "has 29 labels for 30 pictures"),
    "test labels out of range": (
        spoilt(lambda b: encoded(np.full(12, 11, np.uint8)), "t10k-labels-idx1-ubyte"),
        "label 11 is out of range; there are 10 classes, 0 to 9",
    ),
    "labels missing": (lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(), "its labels are not there"),
    "images missing": (
        lambda folder: (folder / "train-images-idx3-ubyte.gz").unlink(),
        "holds no idx files to train on",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line(tmp_path: Path, what: str) -> None:
    write_idx(tmp_path)
    change, says = WRONG[what]
    change(tmp_path)
    with pytest.raises(NoData) as error:
        for split in ("train", "held_out"):
            dataset(tmp_path, split)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_fewer_names_than_labels(tmp_path: Path) -> None:
    write_idx(tmp_path)
    with pytest.raises(NoData, match=r"train-labels-idx1-ubyte.gz: label 9 is out of range; there are 3 classes"):
        dataset(tmp_path, names=("a", "b", "c"))


def test_pictures_larger_than_asked(tmp_path: Path) -> None:
    write_idx(tmp_path)
    with pytest.raises(NoData, match=r"28x28 are larger than data.width=16, data.height=32; set data.fit=\"scale\""):
        dataset(tmp_path, width=16)


def test_settings_that_make_no_sense() -> None:
    bad = ({"channels": 2}, "1 for grey, or 3"), ({"names": "letters"}, "auto, digits, fashion, or a list")
    for setting, says in (*bad, ({"held_out": 1.0}, "not a fraction"), ({"fit": ""}, "pad, scale")):
        with pytest.raises(ValueError, match=says):
            Config(folder="x", **setting)
