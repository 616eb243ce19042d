"""Every format of data from the command line: recognised in a folder, planned, trained on, and its damage told."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from archives import cifar10_python, packed, png, write_idx


def class_folders(folder: Path) -> None:
    for n in range(20):
        path = folder / ("cat", "dog")[n % 2] / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n, 16, 16))
    (folder / "empty").mkdir()


def captions(folder: Path) -> None:
    folder.mkdir()
    for n in range(12):
        (folder / f"{n}.png").write_bytes(png(n, 16, 16))
    rows = [{"file_name": f"{n}.png", "text": f"number {n}", "label": n % 3} for n in range(12)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def cifar(folder: Path) -> None:
    files = {f"cifar-10-batches-py/{name}": content for name, content in cifar10_python().items()}
    packed(folder / "cifar-10-python.tar.gz", files, "w:gz")


def shards(folder: Path) -> None:
    files = {f"{n}.png": png(n, 16, 16) for n in range(12)} | {f"{n}.cls": b"%d" % (n % 2) for n in range(12)}
    packed(folder / "a-000.tar", files)


FORMATS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "class folders": (
        class_folders,
        ['name="image_folder": 20 pictures', "train: 19 pictures of 16x16", "held_out: 1 pictures", "2 classes of"],
    ),
    "metadata": (captions, ["train: 11 pictures", "train: 3 classes of 3 to 4 pictures: 0 "]),
    "idx": (
        write_idx,
        ["train: 30 pictures of 28x28, grey", "held_out: 12 pictures", "10 classes of 3 pictures each: 0, 1,"],
    ),
    "cifar": (cifar, ["train: 20 pictures of 32x32, in colour", "4 classes of 5 pictures each: airplane, car"]),
    "shards": (shards, ['name="shards": 12 pictures in 1 tar shards', "train: 11 pictures", "held_out: 1 pictures"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_is_recognised_planned_and_trained_on(run, tmp_path, cheap_pictures, name):
    made, says = FORMATS[name]
    made(tmp_path / "data")
    code, out, err = run("plan", "data", *cheap_pictures)
    assert (code, err) == (0, "")
    assert all(part in out for part in says), out
    assert "condition=64: for " in out and "unet2d" in out and "1 steps: " in out
    code, out, err = run("train", "data", "--run", "run", *cheap_pictures, "--set", "network.condition=8")
    assert (code, err) == (0, "") and "trained: run" in out
    assert "[conditions.label]" in (tmp_path / "run" / "recipe.toml").read_text()
    for command in (["sample", "run", "--count", "2"], ["show", "run"]):
        code, out, err = run(*command)
        assert (code, err) == (0, "")


def test_a_recipe_names_its_format(run, tmp_path, cheap_pictures):
    write_idx(tmp_path / "digits")
    lines = ['[data]\nname = "idx"\nfolder = "digits"\n[network]\nname = "unet2d"\nchannels = 1']
    (tmp_path / "r.toml").write_text("\n".join(lines))
    code, out, err = run("train", "r.toml", "--run", "run", *cheap_pictures)
    assert (code, err) == (0, "") and "10 classes" in out


def cut_idx(folder: Path) -> None:
    write_idx(folder)
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))


def cut_cifar(folder: Path) -> None:
    cifar(folder)
    path = folder / "cifar-10-python.tar.gz"
    path.write_bytes(path.read_bytes()[:-20_000])


def no_shard(folder: Path) -> None:
    folder.mkdir()
    (folder / "x.tar").write_bytes(b"<html>404</html>" * 100)


DAMAGED = {
    "idx": (
        cut_idx,
        "t10k-images-idx3-ubyte.gz: has 9,407 of the 9,408 bytes that its header says; get the file again",
    ),
    "cifar": (cut_cifar, "cifar-10-python.tar.gz: "),
    "shards": (no_shard, "data holds no usable picture or video in its 1 tar shards"),
}


@pytest.mark.parametrize("command", ["plan", "train"])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_archive_is_one_line_and_65(run, tmp_path, cheap_pictures, name, command):
    made, says = DAMAGED[name]
    made(tmp_path / "data")
    code, _, err = run(command, "data", *cheap_pictures)
    assert code == 65 and says in err and err.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


def test_data_of_other_classes_are_refused_as_a_setting(run, tiny):
    outcome = run("train", tiny, "--set", "network.condition=4", "--set", 'conditions.label.names=["a","b"]')
    assert outcome.code == 2 and "the data have 6 classes and conditions.label names 2" in outcome.err
