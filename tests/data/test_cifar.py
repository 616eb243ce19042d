"""CIFAR's archives: the four versions, packed and unpacked; damage is one line, and nothing in a pickle is run."""

import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import (
    NAMES,
    cifar10_binary,
    cifar10_python,
    cifar100_binary,
    cifar100_python,
    labels_of,
    noise,
    packed,
    pickled,
    unpacked,
)

from filmgrain.data import NoData, cifar, unpickle
from filmgrain.data.cifar import Config, Dataset

VERSIONS = {
    "cifar-10-batches-py": ("cifar-10-python", cifar10_python),
    "cifar-10-batches-bin": ("cifar-10-binary", cifar10_binary),
    "cifar-100-python": ("cifar-100-python", cifar100_python),
    "cifar-100-binary": ("cifar-100-binary", cifar100_binary),
}


def archive(root: Path, edition: str = "cifar-10-batches-py", **changed: bytes) -> Path:
    """The .tar.gz of an edition, with files changed."""
    name, made = VERSIONS[edition]
    files = made() | changed
    return packed(root / f"{name}.tar.gz", {f"{edition}/{file}": content for file, content in files.items()}, "w:gz")


def items(dataset: Dataset) -> list[dict[str, Any]]:
    return [dataset.item(n, random.Random(0)) for n in range(len(dataset))]


@pytest.mark.parametrize("edition", VERSIONS)
@pytest.mark.parametrize("place", ["archive", "folder of it", "unpacked", "renamed"])
def test_every_version_gives_its_pictures_and_labels(tmp_path: Path, edition: str, place: str) -> None:
    _, made = VERSIONS[edition]
    if place in ("archive", "folder of it"):
        folder = archive(tmp_path, edition) if place == "archive" else archive(tmp_path, edition).parent
    else:
        folder = unpacked(tmp_path / "data" / (edition if place == "unpacked" else "mine"), made())
        folder = folder.parent if place == "unpacked" else folder
    train, held_out = (Dataset(Config(folder=str(folder)), split) for split in ("train", "held_out"))
    tens = "10-" in edition
    assert train.classes == held_out.classes == NAMES
    assert len(train) == (20 if tens else 8) and len(held_out) == (4 if tens else 8)
    for dataset, seeds in ((train, range(5) if tens else [0]), (held_out, [5 if tens else 1])):
        count = 4 if tens else 8
        planes = np.concatenate([noise(count, 3072, seed=seed) for seed in seeds]).reshape(-1, 3, 32, 32)
        assert np.array_equal(np.stack([item["x"] for item in items(dataset)]), planes)
        assert [item["label"] for item in items(dataset)] == len(seeds) * labels_of(count)


@pytest.mark.parametrize("edition", ["cifar-100-python", "cifar-100-binary"])
def test_the_coarse_classes_of_cifar_100(tmp_path: Path, edition: str) -> None:
    dataset = Dataset(Config(folder=str(archive(tmp_path, edition)), labels="coarse"))
    assert dataset.classes == ["thing", "animal"]
    assert [item["label"] for item in items(dataset)] == [label // 2 for label in labels_of(8)]


def test_a_part_of_the_training_pictures_may_be_held_out(tmp_path: Path) -> None:
    config = Config(folder=str(archive(tmp_path)), held_out=0.25)
    train, held_out = (Dataset(config, split) for split in ("train", "held_out"))
    sources = [{item["source"] for item in items(dataset)} for dataset in (train, held_out)]
    assert (len(train), len(held_out)) == (15, 5) and not sources[0] & sources[1]
    assert sources[0] | sources[1] == {f"cifar-10-batches-py/train:{n}" for n in range(20)}


def test_other_sizes(tmp_path: Path) -> None:
    folder = str(archive(tmp_path))
    (original,) = (Dataset(Config(folder=folder)).item(3, random.Random(0))["x"],)
    padded = Dataset(Config(folder=folder, height=36, width=40)).item(3, random.Random(0))["x"]
    assert np.array_equal(padded[:, 2:34, 4:36], original) and padded.sum() == original.sum()
    assert Dataset(Config(folder=folder, height=8, width=16, fit="scale")).item(3, random.Random(0))["x"].shape == (
        3,
        8,
        16,
    )
    with pytest.raises(NoData, match=r"32x32 are larger than data.width=32, data.height=28; set data.fit=\"scale\""):
        Dataset(Config(folder=folder, height=28))


def test_pickles_of_python_3_are_read_too(tmp_path: Path) -> None:
    for protocol in (3, 4):
        batch = {b"labels": labels_of(4), b"data": noise(4, 3072)}
        folder = archive(tmp_path / str(protocol), data_batch_1=pickle.dumps(batch, protocol=protocol))
        assert np.array_equal(
            Dataset(Config(folder=str(folder))).item(2, random.Random(0))["x"].reshape(-1), noise(4, 3072)[2]
        )


# Hostile pickles


class Payload:
    """Unpickled by Python, it calls a function with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("inside", [lambda bomb: bomb, lambda bomb: {"data": [bomb]}], ids=["bare", "hidden"])
def test_a_payload_does_not_run(tmp_path: Path, protocol: int, inside: Any) -> None:
    made = tmp_path / "made by the pickle"
    hostile = pickle.dumps(inside(Payload(os.system, f"touch '{made}'")), protocol=protocol)
    pickle.loads(hostile)
    assert made.exists()  # the payload works where it is run
    made.unlink()
    with pytest.raises(unpickle.Refused):
        unpickle.loads(hostile)
    with pytest.raises(NoData, match=r"data_batch_1 (asks for|has the opcode|is damaged).*; get the archive again"):
        Dataset(Config(folder=str(archive(tmp_path, data_batch_1=hostile))))
    assert not made.exists()


HOSTILE = {  # each with what must be said of it
    b"cos\nsystem\n(S'true'\ntR.": "asks for 'os.system'",
    b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.": "asks for 'builtins.eval'",
    b"\x80\x02cnumpy\nload\nU\x01x\x85R.": "asks for 'numpy.load'",
    b"(S'touch x'\nios\nsystem\n.": "has the opcode INST",
    b"\x80\x02cnumpy\nndarray\n)\x81.": "has the opcode NEWOBJ",
    b"\x80\x02\x82\x01.": "has the opcode EXT1",
    b"Pid\n.": "has the opcode PERSID",
    b"\x80\x02cnumpy\nndarray\nK\x01\x85R.": "calls what is no part of an array",
    b"\x80\x02U\x01aK\x01\x85R.": "calls what is no part of an array",
    b"\x80\x02]U\x01ab.": "sets the state of what has none",
    b"\x80\x02}))s.": "neither text nor a number",
    b"\x80\x02K\x01K\x02a.": "puts values into what is no list",
    b"\x80\x02]K\x01a]e.": "is damaged",
    b"\x80\x02h\x07.": "is damaged",
    b"\x80\x02}q\x01": "is damaged",
    b"": "is damaged",
    b"no pickle": "is damaged",
    b"\x80\x02T\xff\xff\xff\x7fabc.": "is damaged",
    pickled({"data": noise(2, 3)}).replace(b"u1", b"O8"): "not of bytes",
    pickled({"data": noise(2, 3)}).replace(b"T\x06", b"T\x05"): "is damaged",
    pickled({"data": noise(2, 3)}).replace(b"J\x03\0\0\0", b"J\x04\0\0\0"): "does not fit its bytes",
}


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_anything_but_plain_values_is_refused_in_words(hostile: bytes) -> None:
    with pytest.raises(unpickle.Refused) as error:
        unpickle.loads(hostile)
    assert HOSTILE[hostile] in str(error.value)


@pytest.mark.parametrize("protocol", range(5))
def test_plain_values_come_back(protocol: int) -> None:
    value = {"a": [1, -2, 300, 70_000, True, False, None], "b": {"c": "ä"}, "d": [["x"] * 3, (), (1,), (1, 2, 3, 4)]}
    assert unpickle.loads(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of text of protocol 0, which the damage can make
def test_damage_of_any_byte_is_refused_or_harmless() -> None:
    sound = pickled({"labels": [1, 2], "data": noise(2, 30)})
    dice = random.Random(0)
    for _ in range(2000):
        damaged = bytearray(sound)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(sound))] = dice.randrange(256)
        try:
            unpickle.loads(bytes(damaged[: dice.randint(1, len(sound))] if dice.random() < 0.3 else damaged))
        except unpickle.Refused as error:
            assert "\n" not in str(error)


# Damaged archives


def cut(root: Path) -> Path:
    path = archive(root)
    path.write_bytes(path.read_bytes()[:-20_000])
    return path


def missing(root: Path) -> Path:
    files = cifar10_python()
    del files["data_batch_3"]
    return packed(root / "x.tar.gz", {f"cifar-10-batches-py/{name}": data for name, data in files.items()}, "w:gz")


def no_tar(root: Path) -> Path:
    root.mkdir(exist_ok=True)
    (root / "cifar-10-python.tar.gz").write_bytes(b"<html>not found</html>")
    return root


DAMAGED = {
    "cut short": (cut, "x/cifar-10-python.tar.gz: "),
    "a batch is missing": (missing, "data_batch_3 is missing"),
    "a page in place of the archive": (no_tar, "cifar-10-python.tar.gz: "),
    "nothing there": (lambda root: root, "holds no CIFAR; expected cifar-10-python.tar.gz"),
    "two that differ": (
        lambda root: [archive(root), archive(root, "cifar-100-binary")][0].parent,
        "holds both cifar-10-python.tar.gz and cifar-100-binary.tar.gz; set data.folder",
    ),
    "a label too high": (
        lambda root: archive(root, data_batch_2=pickled({"labels": [0, 1, 2, 4], "data": noise(4, 3072)})),
        "data_batch_2: label 4 is out of range; there are 4 classes, 0 to 3",
    ),
    "a label below zero": (
        lambda root: archive(root, data_batch_2=pickled({"labels": [0, 1, 2, -1], "data": noise(4, 3072)})),
        "data_batch_2: label -1 is out of range",
    ),
    "labels too few": (
        lambda root: archive(root, data_batch_2=pickled({"labels": [0, 1], "data": noise(4, 3072)})),
        "data_batch_2 does not hold a label for each picture",
    ),
    "pictures of another size": (
        lambda root: archive(root, data_batch_2=pickled({"labels": [0], "data": noise(1, 768)})),
        "data_batch_2 holds no pictures of 3,072 bytes each",
    ),
    "no dictionary": (lambda root: archive(root, data_batch_2=pickled([1])), "data_batch_2 holds no dictionary"),
    "no names": (lambda root: archive(root, **{"batches.meta": pickled({})}), "batches.meta holds no names of classes"),
    "records cut short": (
        lambda root: archive(root, "cifar-10-batches-bin", **{"data_batch_1.bin": b"\0" * 3074}),
        "data_batch_1.bin is cut short: its 3,074 bytes are no multiple of 3,073",
    ),
    "a record's label too high": (
        lambda root: archive(root, "cifar-10-batches-bin", **{"data_batch_1.bin": b"\7" + b"\0" * 3072}),
        "data_batch_1.bin: label 7 is out of range",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_archive_is_one_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / "x").mkdir()
    made, says = DAMAGED[damage]
    with pytest.raises(NoData) as error:
        Dataset(Config(folder=str(made(tmp_path / "x"))))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_archive_cut_anywhere_is_one_line(tmp_path: Path) -> None:
    path = archive(tmp_path)
    whole = path.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(whole) - 200, 4999)]:
        path.write_bytes(whole[:length])
        with pytest.raises(NoData) as error:
            for split in ("train", "held_out"):
                Dataset(Config(folder=str(tmp_path)), split)
        assert "\n" not in str(error.value) and "cifar-10-python.tar.gz" in str(error.value)


def test_an_archive_that_does_not_end_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filmgrain.data.cifar_files.LONGEST", 10_000)
    with pytest.raises(NoData, match="is larger than any of CIFAR's"):
        Dataset(Config(folder=str(archive(tmp_path))))


def test_settings_that_make_no_sense() -> None:
    for setting, says in (
        ({"labels": "rough"}, "fine, coarse"),
        ({"fit": "crop"}, "pad, scale"),
        ({"width": 0}, "1 pixel"),
    ):
        with pytest.raises(ValueError, match=says):
            cifar.Config(folder="x", **setting)
