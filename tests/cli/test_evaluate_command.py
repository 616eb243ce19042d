"""`filmgrain evaluate`: a run measured against its own data and against others, compared, and refused in one line."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from filmgrain.cli import main
from filmgrain.evaluate.features import small28
from filmgrain.files import tensors
from filmgrain.files.image import read_image, write_png

RECIPE = """
[data]
name = "idx"
folder = "{folder}"
height = 8
width = 8
fit = "scale"
names = ["down", "across"]
[network]
name = "unet2d"
channels = 1
width = 8
mults = [1]
attention = []
blocks = 1
head_width = 8
condition = 8
[conditions.label]
names = ["down", "across"]
[train]
steps = 2
batch = 4
precision = "float32"
[task]
validation = 2
previews = 0
[sample]
steps = 2
"""
OWN = '''
"""Means of colours: an extractor of one's own, found by its dotted path."""
import torch
from filmgrain.evaluate.features import Extractor

class Means(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return torch.stack([x.float().mean((1, 2, 3)), x.float().std((1, 2, 3))], 1) * self.weight

def load(*, file=None, data=None, called="", progress=None):
    return Extractor(network=Means(), kind="means", size=2, resize="none", about="two features")
'''
OTHER = ["--extractor-file", "other.safetensors"]
FEW = ["--extractor", "mylab.means", "--count", "24", "--halves", "4"]


def write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def stripes(folder: Path, seed: int = 0) -> Path:
    """Stripes across and down, by label: 130 to train on, 40 held out."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for split, count in {"train": 130, "t10k": 40}.items():
        labels = (np.arange(count) % 2).astype(np.uint8)
        rows = rng.integers(40, 255, size=(count, 8), dtype=np.uint8)
        down, across = rows[:, None].repeat(8, 1), rows[:, :, None].repeat(8, 2)
        write_idx(folder / f"{split}-images-idx3-ubyte", np.where(labels[:, None, None] == 0, down, across))
        write_idx(folder / f"{split}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture(scope="module")
def stripes_run(tmp_path_factory):
    """A run of two steps on stripes; not to be written into."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "stripes.toml").write_text(RECIPE.format(folder=stripes(folder / "stripes")))
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "stripes.toml"), "--run", str(folder / "run")])
    assert left.value.code == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def _own_extractor(monkeypatch):
    Path("mylab").mkdir()
    Path("mylab/means.py").write_text(OWN)
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr(small28, "TRAINING", small28.Config(steps=20, batch=16))


@pytest.fixture
def copy(stripes_run):
    shutil.copytree(stripes_run, "run")
    return "run"


def test_numbers_and_their_protocol(run, copy):
    code, out, err = run("evaluate", copy, *FEW, "--steps", "3", "--seed", "5", "--likelihood", "2")
    assert code == 0, err
    said = json.loads(Path("run/evaluation.json").read_text())
    assert [name.partition("[")[0] for name in said["numbers"]] == [
        "fd", "kid", "precision", "recall", "density", "coverage",
    ]  # fmt: skip
    name = said["protocol"]["extractor"]
    assert name == f"means-{said['protocol']['extractor_sha256'][:4]}" and f"fd[{name}]" in said["numbers"]
    wanted = {"samples": 24, "reference": 40, "split": "held_out", "seed": 5, "resize": "none", "halves": 4}
    wanted |= {"comparable": "not comparable with FID", "frames": "pictures", "size": "1x8x8", "features": 2}
    assert wanted.items() <= said["protocol"].items()
    assert {"sampler": "ddim", "steps": 3, "weights": "ema", "scale": 1.0, "labels": "reference"}.items() <= said[
        "sampling"
    ].items()
    assert (said["made"]["step"], said["made"]["nfe"], said["made"]["run"]) == (2, 3, "run")
    row = said["numbers"][f"fd[{name}]"]
    assert row["low"] < row["value"] < row["high"] and len(row["halves"]) == 4
    assert said["likelihood"]["bits_per_dimension"] > 0 and said["likelihood"]["items"] == 2
    assert said["memorisation"]["samples"] == 24 and said["memorisation"]["held_out"] == 40
    assert f"fd[{name}]: {row['value']:.4g} (95 %:" in out and "not comparable with FID" in out
    assert "memorisation, pixels:" in out and "NFE 3 a sample" in out
    assert read_image("run/evaluation-neighbours.png").shape[1] > 11 * 8


def test_the_same_seed_gives_the_same_numbers_whatever_the_batch(run, copy):
    found = []
    for number, options in enumerate((["--batch", "24"], ["--batch", "7"], ["--seed", "1"])):
        assert run("evaluate", copy, *FEW, *options, "--neighbours", "0", "--out", f"{number}.json").code == 0
        said = json.loads(Path(f"{number}.json").read_text())
        assert "memorisation" not in said and not Path(f"{number}-neighbours.png").exists()
        found.append({name: row["value"] for name, row in said["numbers"].items()})
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert found[0] != pytest.approx(found[2], rel=1e-3)


def test_small28_is_what_grey_labelled_data_are_measured_by(run, copy):
    """It learns from the run's own training data, and its name says so; then it is there for good."""
    few = ["evaluate", copy, "--count", "24", "--measures", "kid", "--halves", "0", "--neighbours", "0"]
    code, out, err = run(*few)
    assert code == 0, err
    (name,) = json.loads(Path("run/evaluation.json").read_text())["numbers"]
    assert name.startswith("kid[small28-stripes-") and name in out
    assert "not comparable with FID" in out and "of 13 unseen pictures right" in out
    (kept,) = Path(".cache/filmgrain/extractors").iterdir()
    again = run(*few, "--extractor", "small28", "--extractor-file", str(kept), "--out", "b.json")
    assert again.code == 0 and name in again.out


def test_two_evaluations_are_compared_if_they_may_be(run, copy):
    for out, options in {"a": [], "b": ["--steps", "4"], "c": ["--seed", "1"], "d": ["--weights", "raw"]}.items():
        assert run("evaluate", copy, *FEW, *options, "--neighbours", "0", "--out", f"{out}.json").code == 0
    code, out, _ = run("evaluate", "--compare", "a.json", "a.json")
    assert code == 0 and "+0 (95 %: 0 to 0): no difference is shown" in out
    code, out, err = run("evaluate", "--compare", "a.json", "b.json")
    assert (code, out) == (2, "") and "steps is 2 and 4; if that is what you compare, add --vary steps" in err
    code, out, err = run("evaluate", "--compare", "a.json", "b.json", "--vary", "steps")
    assert code == 0 and "nfe is 2.0 and 4.0" in out and "24 samples against 40 of held_out" in out
    assert run("evaluate", "--compare", "a.json", "d.json", "--vary", "all").code == 0
    code, _, err = run("evaluate", "--compare", "a.json", "c.json", "--vary", "all")
    assert code == 2 and "different protocols: seed is 0 and 1" in err and err.count("\n") == 1


def test_a_folder_of_samples_is_measured_in_place_of_new_ones(run, copy):
    """Those that the run itself makes come to the same figures; the sheet beside them is none of them."""
    assert run("evaluate", copy, *FEW, "--out", "a.json", "--labels", "none").code == 0
    assert run("sample", copy, "--count", "24", "--out", "new", "--batch", "24").code == 0
    assert Path("new/sheet.png").is_file()
    code, out, err = run("evaluate", copy, *FEW, "--samples", "new", "--out", "b.json")
    assert code == 0 and "24 samples of new" in out, err
    one, other = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
    for name, row in one["numbers"].items():
        assert other["numbers"][name]["value"] == pytest.approx(row["value"], rel=1e-3)
    assert run("evaluate", "--compare", "a.json", "b.json").code == 2
    assert run("evaluate", "--compare", "a.json", "b.json", "--vary", "all").code == 0


def test_labels_of_the_samples_are_those_of_the_reference(run, copy, monkeypatch):
    asked = {}

    def batches(model, count, *, given, **how):
        asked.update(given)
        yield range(count), torch.zeros(count, *model.shape)

    monkeypatch.setattr("filmgrain.generate.videos.batches", batches)
    few = [*FEW[:2], "--count", "60", "--measures", "kid", "--neighbours", "0", "--halves", "0"]
    assert run("evaluate", copy, *few).code == 0
    assert sum(asked["label"][:40]) == 20 and asked["label"][40:] == asked["label"][:20]
    assert run("evaluate", copy, *few, "--labels", "even").code == 0
    assert asked["label"] == [0, 1] * 30
    asked.clear()
    assert run("evaluate", copy, *few, "--labels", "none").code == 0 and asked == {}


def test_other_data_of_other_classes(run, copy):
    for name in ("red", "blue", "green"):
        Path("colours", name).mkdir(parents=True)
        for i in range(5):
            write_png(f"colours/{name}/{i}.png", np.full((8, 8, 3), 40 * i, np.uint8))
    code, _, err = run("evaluate", copy, *FEW, "--against", "colours")
    assert code == 65 and "colours holds no idx files" in err  # a run's format is that of what it is measured against
    stripes(Path("others"), seed=1)
    code, _, err = run("evaluate", copy, *FEW, "--against", "others", "--reference", "100")
    said = json.loads(Path("run/evaluation.json").read_text())["protocol"]
    assert code == 0 and (said["split"], said["reference"]) == ("a folder", 100)
    three = stripes(Path("three"), seed=2) / "train-labels-idx1-ubyte"
    write_idx(three, (np.arange(130) % 3).astype(np.uint8))
    code, _, err = run("evaluate", copy, *FEW, "--against", "three")
    assert code == 65 and "three" in err and err.count("\n") == 1


def test_labels_that_do_not_match_are_refused(run, copy, monkeypatch):
    from filmgrain.data import idx

    monkeypatch.setattr(idx.Dataset, "_classes", lambda self: ["across", "down"])
    code, out, err = run("evaluate", copy, *FEW)
    assert (code, out) == (
        2,
        "",
    ) and "held_out has the classes across, down, and the run the classes down, across" in err
    assert "--labels even" in err and run("evaluate", copy, *FEW, "--labels", "even", "--neighbours", "0").code == 0


def test_clips_are_measured_by_one_frame_of_each(run, trained):
    few = [*FEW, "--reference", "30", "--out", "clips.json", "--neighbours", "0"]
    code, _, err = run("evaluate", str(trained), *few)
    assert code == 0, err
    said = json.loads(Path("clips.json").read_text())
    assert said["protocol"]["frames"] == "one of 4 frames of each clip, at random"
    assert said["protocol"]["size"] == "3x8x8" and said["sampling"]["labels"] == "none"


def test_what_cannot_be_measured(run, copy):
    torch.save({"a": torch.zeros(2)}, "other.pth")
    tensors.save(Path("other.safetensors"), {"a": torch.zeros(2)})
    Path("empty").mkdir()
    before = sorted(Path("run").rglob("*"))
    for code, arguments, says in (
        (2, [], "give a run, or --compare"),
        (2, [copy, "--extractor", "inceptoin"], 'did you mean "inception"'),
        (2, [copy, "--extractor", "mylab.none"], "mylab.none"),
        (2, [copy, "--extractor", "inception"], "give --extractor-file"),
        (65, [copy, "--extractor", "inception", "--extractor-file", "none.pth"], "none.pth is not a file"),
        (65, [copy, "--extractor", "inception", "--extractor-file", "other.pth"], "fc.weight is missing"),
        (65, [copy, "--extractor", "efficientnet-lite0", *OTHER], "_conv_stem.weight is missing"),
        (2, [copy, "--count", "200"], "200 samples are too few for fd: 128 features"),
        (2, [copy, *FEW[:2], "--count", "5"], "5 samples are too few for fd: 2 features"),
        (2, [copy, *FEW, "--measures", "fid"], '"fid" is not one of the measures'),
        (2, [copy, *FEW, "--halves", "1"], "halves=1"),
        (2, [copy, *FEW, "--labels", "some"], "--labels some: use reference, even or none"),
        (2, [copy, *FEW, "--weights", "best"], 'weights="best" is unknown'),
        (2, [copy, *FEW, "--sampler", "eulr"], "eulr"),
        (2, [copy, *FEW, "--set", "train.steps=3"], "only sample.* can be set"),
        (65, [copy, *FEW, "--samples", "empty"], "empty holds no pictures"),
        (65, [copy, *FEW, "--against", "missing"], "missing holds no idx files"),
        (65, ["empty"], "is not a run"),
        (2, [copy, *FEW, "--out", "other.pth/x.json"], "other.pth is a file"),
        (2, ["--compare", "other.pth", "other.pth"], "other.pth is no evaluation"),
        (74, ["--compare", "none.json", "none.json"], "none.json: No such file"),
    ):  # fmt: skip
        outcome = run("evaluate", *arguments)
        assert (outcome.code, outcome.err.count("\n")) == (code, 1), (arguments, outcome)
        assert says in outcome.err, outcome.err
    assert sorted(Path("run").rglob("*")) == before
