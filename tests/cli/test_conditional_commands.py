"""extend, interpolate, upscale and inpaint from the command line, on files."""

from pathlib import Path

import numpy as np
import pytest

from filmgrain.files.encode import read_recipe, write_gif
from filmgrain.files.image import write_png
from filmgrain.files.video import read

CHEAP = ["--sampler", "ancestral", "--steps", "2", "--weight", "0.01"]


@pytest.fixture
def clip():
    """Larger than the run's 8x8, of 10 fps."""
    frames = np.random.default_rng(0).integers(0, 255, (5, 12, 20, 3), dtype=np.uint8)
    write_gif("clip.gif", frames, 10)
    return "clip.gif"


@pytest.fixture
def words(trained, clip):
    """Each command with what it must be given."""
    return {
        "extend": ["extend", str(trained), clip, "--frames", "9"],
        "interpolate": ["interpolate", str(trained), clip],
    }


def test_a_clip_goes_on(run, words):
    code, out, err = run(*words["extend"], *CHEAP)
    assert code == 0, err
    assert out.startswith("clip.gif: 5 frames of 20x12 at 10 fps, taken as 5 frames of 8x8 at 10 fps\n")
    assert "9 frames by both, w_r = 0.01: ancestral, 2 steps a block" in out and out.endswith("clip-extended.gif\n")
    made = read("clip-extended.gif")
    assert made.frames.shape == (9, 8, 8, 3) and made.fps == pytest.approx(10)
    given = np.asarray(read("clip.gif", size=lambda h, w: (8, 13)).frames)[:, :, 2:10]
    assert np.abs(made.frames[:5].astype(int) - given).mean() < 12  # what was given begins it, but for the palette
    recipe = read_recipe("clip-extended.gif")
    assert recipe["command"] == "extend" and recipe["weight"] == 0.01 and recipe["clip"] == "clip.gif"


def test_before_in_a_circle_and_from_nothing(run, trained, words, clip):
    assert run(*words["extend"], *CHEAP, "--before", "--out", "new/before.mp4").code == 0
    assert run(*words["extend"], *CHEAP, "--loop").code == 0
    code, _, err = run("extend", str(trained), "--frames", "11", *CHEAP)
    assert code == 0, err
    lengths = [len(read(path).frames) for path in ("new/before.mp4", "clip-loop.gif", "extended.gif")]
    assert lengths == [9, 9, 11]
    ends = read("new/before.mp4").frames[-5:].astype(float).mean((1, 2, 3))
    given = read(clip, size=lambda h, w: (8, 13)).frames[:, :, 2:10].astype(float).mean((1, 2, 3))
    assert np.abs(ends - given).max() < 6


def test_frames_between_and_more_pixels(run, trained, words):
    assert run(*words["interpolate"], *CHEAP, "--times", "3").code == 0
    made = read("clip-3x.gif")
    assert len(made.frames) == 13 and made.fps == pytest.approx(30, rel=0.1)
    code, out, err = run("upscale", str(trained), "clip.gif", "--factor", "2", *CHEAP)
    assert code == 0, err
    assert "taken as 5 frames of 4x4" in out and read("clip-2x-larger.gif").frames.shape == (5, 8, 8, 3)


def test_parts_made_anew(run, trained, clip):
    mask = np.zeros((12, 20, 3), np.uint8)
    mask[:6] = 255
    write_png("mask.png", mask)
    write_png("end.png", np.full((9, 9, 3), 80, np.uint8))
    for given in ("mask.png", "box=1,2,3,4", "frames=2-3"):
        code, _, err = run("inpaint", str(trained), clip, "--mask", given, *CHEAP)
        assert code == 0, err
        assert read("clip-inpainted.gif").frames.shape == (5, 8, 8, 3)
    code, _, err = run("inpaint", str(trained), "--first", "end.png", "--last", "end.png", "--frames", "6", *CHEAP)
    assert code == 0, err
    made = read("inpainted.gif").frames
    assert len(made) == 6 and np.abs(made[[0, -1]].astype(int) - 80).max() < 8


def test_the_weight_is_tuned_on_held_out_clips(run, words):
    code, out, err = run(*words["extend"], *CHEAP[:4], "--tune")
    assert code == 0, err
    assert "of 8 held-out clips" in out and out.count("chosen") == 1


def test_what_cannot_be_is_said_in_one_line(run, trained, clip):
    write_gif("short.gif", np.zeros((1, 8, 8, 3), np.uint8), 10)
    write_png("black.png", np.zeros((8, 8, 3), np.uint8))
    write_png("wide.png", np.full((8, 30, 3), 255, np.uint8))
    here = str(trained)
    for words, says in (
        (["extend", here, clip, "--frames", "5"], "frames=5, and the clip has 5 already"),
        (["extend", here, "short.gif", "--frames", "8"], "the clip has 1 frames, fewer than the overlap of 2"),
        (["extend", here, clip, "--frames", "9", "--overlap", "4"], "overlap=4 of blocks of 4 frames; use 1 to 3"),
        (["extend", here, clip, "--frames", "9", "--method", "bath"], 'method="bath" is unknown; did you mean "both"'),
        (["extend", here, clip, "--weight", "-1"], "weight=-1.0 of guidance"),
        (["extend", here, clip, "--loop", "--before"], "a loop has no before"),
        (["extend", here, clip, "--loop", "--frames", "6"], "frames=6 leaves no room"),
        (["extend", here, clip, "--prompt", "a cat"], "trained without captions"),
        (["extend", here, clip, "--label", "cat"], "trained without labels"),
        (["extend", here, clip, "--scale", "3"], "none is given"),
        (["extend", here, clip, "--weight", "1e9", "--steps", "3"], "diverged"),
        (["extend", here, clip, "--out", "a.avi"], "a video is written as .gif or .mp4"),
        (["extend", here, clip, "--set", "sample.cache=2"], "use sample.cache=1 to guide"),
        (["interpolate", here, "short.gif"], "the clip has 1 frame, and nothing lies between"),
        (["interpolate", here, clip, "--times", "4"], "times=4 as many frames, of a model of 4"),
        (["upscale", here, clip], "clip.gif is 20x12, and the model makes 8x8"),
        (["upscale", here, clip, "--factor", "2", "--method", "replacement"], "cannot hold to a smaller copy"),
        (["upscale", here, clip, "--factor", "2", "--augmentation", "nan"], "augmentation=nan of a smaller copy"),
        (["inpaint", here, clip], "give a CLIP with a --mask"),
        (["inpaint", here, clip, "--mask", "box=1,2,3"], "expected a picture or video"),
        (["inpaint", here, clip, "--mask", "box=6,0,4,4"], "does not lie in the clip, 5 frames of 8x8"),
        (["inpaint", here, clip, "--mask", "frames=3-9"], "does not lie in the clip"),
        (["inpaint", here, clip, "--mask", "frames=3-"], "or frames=FIRST-LAST"),
        (["inpaint", here, clip, "--mask", "frames=1-2-3"], "or frames=FIRST-LAST"),
        (["inpaint", here, clip, "--mask", "black.png"], "is dark everywhere"),
        (["inpaint", here, clip, "--mask", "wide.png"], "wide.png is 30x8, the clip 20x12 and the model 8x8"),
    ):
        outcome = run(*words)
        assert outcome.code == 2 and says in outcome.err and outcome.err.count("\n") == 1, (words, outcome)
    assert not list(Path().glob("*-extended*")) and not list(Path().glob(".*.part"))
