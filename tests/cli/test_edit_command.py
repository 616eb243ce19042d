"""denoise, vary and between from the command line, on files."""

from pathlib import Path

import numpy as np
import pytest

from filmgrain.files.encode import read_recipe, write_gif
from filmgrain.files.image import write_png
from filmgrain.files.video import read


@pytest.fixture
def clip():
    frames = np.random.default_rng(0).integers(0, 255, (6, 12, 20, 3), dtype=np.uint8)
    write_gif("clip.gif", frames, 8)
    return "clip.gif"


def test_each_writes_what_it_made_with_its_recipe(run, trained, clip):
    for words in (
        ["denoise", "--sigma", "25"],
        ["denoise", "--sigma", "25", "--sharp"],
        ["vary", "--logsnr", "0", "--set", "sample.sampler=ancestral"],
    ):
        code, out, err = run(words[0], str(trained), clip, *words[1:], "--out", "made.gif")
        assert code == 0, err
        assert out.strip() == "made.gif" and read("made.gif").frames.shape == (4, 8, 8, 3)
        assert read_recipe("made.gif")["run"] == str(trained)
        Path("made.gif").unlink()
    assert run("denoise", str(trained), clip, "--sigma", "25").out.strip() == "clip-denoised.gif"


def test_the_way_between_files_and_between_samples(run, trained, clip):
    code, out, err = run("between", str(trained), clip, clip, "--count", "3", "--logsnr", "1")
    assert code == 0, err
    assert out.strip() == "between.gif" and len(read("between.gif").frames) == 4
    assert run("between", str(trained), "0", "3", "--count", "2", "--out", "way.mp4").code == 0
    assert Path("way.mp4").stat().st_size > 0


def test_what_cannot_be_is_said_in_one_line(run, trained, clip):
    write_png("still.png", np.zeros((8, 8, 3), np.uint8))
    for words, code, says in (
        (["denoise", str(trained), clip, "--sigma", "0"], 2, "sigma=0.0 is no noise"),
        (["denoise", str(trained), "still.png", "--sigma", "9"], 2, "has 1 frames, and the model makes 4"),
        (["denoise", str(trained), "missing.gif", "--sigma", "9"], 65, "missing.gif"),
        (["denoise", "nowhere", clip, "--sigma", "9"], 65, "nowhere is not a run"),
        (["vary", str(trained), clip, "--logsnr", "-90"], 2, "noisier than the schedule's last level"),
        (["vary", str(trained), clip, "--logsnr", "0", "--out", "a.png"], 2, "written as .gif or .mp4"),
        (["vary", str(trained), clip, "--logsnr", "0", "--set", "train.steps=3"], 2, "only sample.*"),
        (["between", str(trained), clip], 2, "1 ends"),
    ):
        outcome = run(*words)
        assert outcome.code == code and says in outcome.err and outcome.err.count("\n") == 1, outcome


def test_a_strip_shows_the_way_from_noise(run, trained):
    code, out, err = run("sample", str(trained), "--count", "3", "--steps", "7", "--strip", "4", "--out", "new")
    assert code == 0, err
    assert out.splitlines()[-1] == "new/strip.gif"
    strip = read("new/strip.gif").frames
    assert strip.shape[0] == 4 and strip.shape[2] > strip.shape[1]  # four steps wide, three samples high
    assert read_recipe("new/strip.gif")["steps"] == 7
