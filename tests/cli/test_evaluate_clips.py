"""`filmgrain evaluate` of a run of clips: features in time, figures of motion, and what was asked for."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from filmgrain.cli import main
from filmgrain.data.moving_shapes import Config, Dataset
from filmgrain.evaluate.features import small28
from filmgrain.files.encode import write_gif, write_mp4

RECIPE = """
[data]
name = "moving_shapes"
frames = 4
height = 16
width = 16
clips = 1300
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 2
head_width = 8
condition = 8
[conditions.words]
vocabulary = ["red", "blue", "circle", "square", "left", "right"]
width = 8
heads = 2
layers = 1
[task]
validation = 2
previews = 0
[train]
steps = 1
batch = 2
precision = "float32"
[sample]
sampler = "ddim"
steps = 1
"""
QUICK = ["--count", "130", "--reference", "130", "--halves", "4", "--batch", "65"]
FEW = ["--count", "6", "--reference", "20", "--halves", "4"]


@pytest.fixture(scope="module")
def shapes_run(tmp_path_factory):
    """A run of one step that was told captions; not to be written into."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "tiny.toml").write_text(RECIPE)
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "tiny.toml"), "--run", str(folder / "run")])
    assert left.value.code == 0
    return folder / "run"


@pytest.fixture
def copy(shapes_run):
    shutil.copytree(shapes_run, "run")
    return "run"


def truly(folder, count=8, mp4=True):
    """Real clips in place of samples, as GIF and MP4, and their captions."""
    data = Dataset(Config(frames=4, height=16, width=16, clips=1500, seed=7))
    captions = []
    Path(folder).mkdir()
    for i in range(count):
        item = data.item(i)
        frames = item["x"].transpose(1, 2, 3, 0)
        write_gif(Path(folder, f"{i}.gif"), frames, 8)
        if mp4:
            write_mp4(Path(folder, f"{i}.mp4"), frames, 8)
        captions.append(item["caption"])
    write_gif(Path(folder, "sheet.gif"), frames.repeat(2, 1), 8)
    return captions


def numbers_of(name):
    said = json.loads(Path(name).read_text())
    return said, {key: row["value"] for key, row in said["numbers"].items()}


def test_all_that_applies_is_measured(run, copy, monkeypatch):
    asked = {}

    def batches(model, count, *, given, **how):
        asked.update(given)
        yield range(count), torch.zeros(count, *how["shape"])

    with monkeypatch.context() as patch:
        patch.setattr("filmgrain.generate.videos.batches", batches)
        code, out, err = run("evaluate", copy, *QUICK)
    assert code == 0, err
    said, numbers = numbers_of("run/evaluation.json")
    assert [name.partition("-")[0] for name in numbers] == [
        *(f"{name}[clips32" for name in ("fvd", "kid", "precision", "recall", "density", "coverage")),
        *("motion[pixels]", "flicker[pixels]", "right[caption]", "right[kind]", "right[colour]", "right[motion]"),
        *("kept[shape]", "legal[way]", "off[way]"),
    ]  # fmt: skip
    assert numbers["right[caption]"] == numbers["motion[pixels]"] == 0 and numbers["off[way]"] == 1  # nothing is there
    assert "not comparable with FVD" in out and "for unlimited samples" in out and "memorisation" not in said
    protocol = said["protocol"]
    wanted = {"samples": 130, "reference": 130, "frames": "clips of 4 frames", "size": "3x4x16x16", "features": 64}
    assert wanted.items() <= {**protocol, "size": "3x4x16x16"}.items() and protocol["extractor"] == "clips32-b335"
    assert said["sampling"]["prompts"] == "reference" and said["sampling"]["labels"] == "none"
    assert said["temporal"]["samples"]["motion"] == 0 < said["temporal"]["data"]["motion"]
    assert len(asked["caption"]) == 130 and len(set(asked["caption"])) > 20
    assert all(caption.startswith(("a ", "an ")) for caption in asked["caption"])


def test_real_clips_in_a_folder_are_right(run, copy):
    """A GIF and an MP4 of one name are one clip; the sheet is none."""
    captions = truly("theirs")
    Path("captions.txt").write_text("\n".join(captions))
    code, out, err = run("evaluate", copy, *FEW[2:], "--measures", "shapes,temporal", "--samples", "theirs",
                         "--prompts", "captions.txt", "--out", "a.json")  # fmt: skip
    assert code == 0, err
    said, numbers = numbers_of("a.json")
    assert numbers["right[colour]"] == 1 and numbers["right[kind]"] >= 0.8 and numbers["off[way]"] < 0.02
    assert said["protocol"]["samples"] == 8 and said["protocol"]["extractor"] == "none"
    Path("captions.txt").write_text("\n".join(captions[1:] + captions[:1]))
    assert run("evaluate", copy, *FEW[2:], "--measures", "shapes,temporal", "--samples", "theirs",
               "--prompts", "captions.txt", "--out", "b.json").code == 0  # fmt: skip
    _, turned = numbers_of("b.json")
    assert turned["right[caption]"] < 0.3 and turned["kept[shape]"] == numbers["kept[shape]"]
    code, out, _ = run("evaluate", "--compare", "a.json", "b.json")
    assert code == 0 and "kept[shape]" in out and "no difference is shown" in out
    Path("captions.txt").write_text("something else\n")
    code, out, _ = run("evaluate", copy, *FEW[2:], "--measures", "shapes", "--samples", "theirs",
                       "--prompts", "captions.txt", "--out", "c.json")  # fmt: skip
    assert (
        code == 0 and 'warning: nothing is said of whether samples are as asked for: "something else" names no' in out
    )
    assert "right[caption]" not in numbers_of("c.json")[1]


def test_longer_clips_and_their_boundaries(run, copy):
    few = ["evaluate", copy, *FEW, "--measures", "temporal"]
    assert run(*few, "--frames", "6", "--boundaries", "4", "--out", "a.json").code == 0
    said, numbers = numbers_of("a.json")
    assert said["protocol"]["frames"] == "clips of 6 frames" and said["protocol"]["boundaries"] == [4]
    assert numbers["boundary[pixels]"] > 0
    assert run(*few, "--frames", "6", "--boundaries", "3", "--out", "b.json").code == 0
    code, _, err = run("evaluate", "--compare", "a.json", "b.json")
    assert code == 2 and "boundaries is [4] and [3]" in err
    assert run(*few, "--prompts", "none", "--frames", "6", "--boundaries", "4", "--out", "c.json").code == 0
    code, _, err = run("evaluate", "--compare", "a.json", "c.json")
    assert code == 2 and "prompts is reference and none" in err


def test_frames_are_measured_by_an_extractor_of_pictures(run, copy, monkeypatch):
    monkeypatch.setattr(small28, "TRAINING", small28.Config(steps=5, batch=8))
    code, _, err = run("evaluate", copy, "--count", "24", "--reference", "30", "--halves", "4",
                       "--train-on", "held_out", "--measures", "kid", "--neighbours", "0")  # fmt: skip
    assert code == 0, err
    (name,) = numbers_of("run/evaluation.json")[1]
    assert name.startswith("kid[small28-moving-shapes-")


def test_what_cannot_be_measured_of_clips(run, copy, trained):
    truly("theirs", 2, mp4=False)
    truly("short", 1, mp4=False)
    Path("empty").mkdir()
    Path("latin.txt").write_bytes("a réd circle".encode("latin-1"))
    for path in Path("short").iterdir():
        path.unlink()
    write_gif(Path("short/0.gif"), Dataset(Config(frames=6, height=16, width=16)).item(0)["x"].transpose(1, 2, 3, 0), 8)
    temporal = [copy, *FEW, "--measures", "temporal"]
    for code, arguments, says in (
        (2, [copy, "--count", "129"], "129 samples are too few for fd: 64 features"),
        (2, [copy, *FEW, "--measures", "fvd"], 'use some of fd, kid, manifold, temporal, shapes'),
        (2, [copy, *FEW, "--extractor", "i3d"], "give --extractor-file"),
        (2, [copy, *FEW, "--boundaries", "4"], "a boundary at frame 4 is none of a clip of 4; use 1 to 3"),
        (2, [copy, *FEW, "--boundaries", "four"], '--boundaries: "four" is not the number of a frame'),
        (2, [*temporal, "--frames", "2"], "2 frames are too few to flicker"),
        (2, [*temporal, "--prompts", "none.txt"], "--prompts none.txt: use reference, none, or a file"),
        (2, [*temporal, "--samples", "theirs", "--prompts", "none.txt"], "--prompts none.txt: use reference, none, or"),
        (2, [*temporal, "--prompts", "latin.txt"], "--prompts latin.txt: is no text in UTF-8"),
        (2, [str(trained), *FEW, "--measures", "temporal", "--prompts", "a.txt"], "trained without captions"),
        (2, [copy, *FEW, "--train-on", "held_out", "--measures", "kid,temporal"], "temporal is of whole clips"),
        (65, [*temporal, "--samples", "empty"], "empty holds no usable video"),
        (65, [*temporal, "--samples", "missing"], "missing is not there"),
        (65, [*temporal, "--samples", "short"], "0.gif has 6 frames of 16x16, but the run's data 4 frames of 16x16"),
    ):  # fmt: skip
        outcome = run("evaluate", *arguments, "--out", "x.json")
        assert (outcome.code, outcome.err.count("\n")) == (code, 1), (arguments, outcome)
        assert says in outcome.err, outcome.err
        assert not Path("x.json").exists()
