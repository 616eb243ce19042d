"""`filmgrain sample` batch by batch: files while it samples, what an end in the middle leaves, and sheets of some."""

from pathlib import Path

import numpy as np
import pytest

from filmgrain.cli import album, sample
from filmgrain.files.encode import read_recipe
from filmgrain.files.video import read


def names(folder):
    return {path.name for path in Path(folder).iterdir()}


def drawn(monkeypatch, act):
    """Calls act(ids) at each step."""
    monkeypatch.setattr(sample, "steps_of", lambda bar, total: lambda ids, step: act(ids))


def test_ctrl_c_leaves_whole_files_of_the_batches_before(run, trained, monkeypatch):
    def interrupt(ids):
        if ids.start == 4:
            raise KeyboardInterrupt

    drawn(monkeypatch, interrupt)
    assert run("sample", str(trained), "--count", "6", "--batch", "2", "--out", "new").code == 130
    left = names("new")
    assert (
        {"000.gif", "000.mp4", "001.gif", "001.mp4"} <= left <= {f"00{i}.{k}" for i in range(4) for k in ("gif", "mp4")}
    )
    assert all(read(Path("new", name)).frames.shape == (4, 8, 8, 3) for name in left)


def test_files_are_written_while_the_next_batch_is_drawn(run, trained, monkeypatch):
    there = {}
    drawn(monkeypatch, lambda ids: there.setdefault(ids.start, names("new")))
    assert run("sample", str(trained), "--count", "3", "--batch", "1", "--out", "new").code == 0
    assert there[0] == set() and {"000.gif", "000.mp4"} <= there[2]


def test_a_full_disk_is_said_before_the_next_batch_is_drawn(run, trained, monkeypatch):
    seen = []
    drawn(monkeypatch, lambda ids: seen.append(ids.start))

    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("filmgrain.files.encode.write_gif", full)
    code, _, err = run("sample", str(trained), "--count", "8", "--batch", "1", "--out", "new", "--steps", "50")
    assert code == 74 and "000.gif: No space left" in err and err.count("\n") == 1
    assert set(seen) <= {0, 1} and len(seen) < 100


def test_the_batch_does_not_change_the_files(run, trained):
    for batch in ("1", "3"):
        assert run("sample", str(trained), "--count", "3", "--batch", batch, "--out", batch).code == 0
    for index in range(3):
        one, other = (read(Path(batch, f"{index:03d}.gif")).frames.astype(int) for batch in ("1", "3"))
        assert np.abs(one - other).max() <= 1


def test_a_sheet_shows_some_and_names_them(run, trained, monkeypatch):
    monkeypatch.setattr(album, "SHOWN", 2)
    assert run("sample", str(trained), "--count", "5", "--batch", "2", "--out", "new").code == 0
    assert read_recipe("new/sheet.gif")["index"] == [0, 1]
    assert {"004.gif", "004.mp4", "sheet.png"} <= names("new")


def at_once(call, *arguments):
    call(*arguments)


at_once.wait = lambda: None


def test_of_each_class_the_first_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(album, "SHOWN", 4)
    made = {"shape": [1, 4, 4], "label": ["cat", "dog"], "fps": 8.0}
    pages = album.Album(tmp_path, made, 6, at_once)
    for first in (0, 4):
        ids = range(first, min(first + 4, 6))
        pages.add(ids, np.stack([np.full((1, 4, 4, 3), 40 * i, np.uint8) for i in ids]), nfe=2.0)
    assert pages.finish(made) == [tmp_path, tmp_path / "sheet.png"]
    assert list(pages.kept) == [0, 1, 3, 4]
    assert [read_recipe(tmp_path / f"00{i}.png")["label"] for i in range(6)] == ["cat"] * 3 + ["dog"] * 3
    assert read_recipe(tmp_path / "005.png") == made | {"label": "dog", "index": 5, "nfe": 2.0}


def test_precision_and_cache_are_told_in_the_files(run, trained):
    typed = ["--precision", "bfloat16", "--set", "sample.cache=2", "--count", "1", "--out", "new"]
    assert run("sample", str(trained), *typed).code == 0
    made = read_recipe("new/000.gif")
    assert (made["precision"], made["cache"]) == ("bfloat16", 2)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--precision", "half"], 'precision="half" is unknown'),
        (["--sampler", "rk45", "--set", "sample.cache=2"], "goes by its error"),
    ],
)
def test_what_cannot_be_is_one_line(run, trained, typed, words):
    code, _, err = run("sample", str(trained), *typed)
    assert code == 2 and words in err and err.count("\n") == 1


def test_a_stage_that_is_given_nothing_to_enlarge_is_warned_of(run, tiny, tmp_path):
    stage = ["network.condition=4", "network.maps=3", "conditions.low_resolution.factor=2", "train.steps=1"]
    assert run("train", tiny, "--run", "stage", *[word for one in stage for word in ("--set", one)]).code == 0
    measured = ["evaluate", "stage", "--count", "4", "--measures", "temporal"]
    for command in (["sample", "stage", "--count", "1"], measured):
        code, out, err = run(*command, "--steps", "2")
        assert code == 0 and "was trained to enlarge, and is given nothing to enlarge here" in out + err
