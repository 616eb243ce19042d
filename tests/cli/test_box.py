"""The model in the box: it is there, small, and draws what the words say."""

import numpy as np

import filmgrain
from filmgrain import runs
from filmgrain.evaluate.shapes import read
from filmgrain.generate.videos import to_uint8

PROMPTS = ["a red square moving right", "a blue star moving left"]


def test_it_is_small():
    files = list(runs.box().rglob("*.safetensors"))
    assert 1e6 < sum(file.stat().st_size for file in files) <= 12e6


def test_it_draws_what_the_words_say():
    model = filmgrain.load(filmgrain.box())
    config = filmgrain.Sampling(sampler="dpmpp_2m", steps=12, scale=2)
    clips = to_uint8(filmgrain.sample(model, 2, given={"caption": PROMPTS}, config=config)).numpy()
    shown = [read(clip) for clip in clips]
    assert [(one.colour, one.kind) for one in shown] == [("red", "square"), ("blue", "star")]
    ways = [np.subtract(one.frames[-1].position, one.frames[0].position)[0] for one in shown]
    assert ways[0] > 2 and ways[1] < -2  # pixels of 32


def test_a_prompt_is_enough(run):
    assert run("sample", "--prompt", "a red circle bouncing", "--count", "1", "--steps", "2", "--out", "made").code == 0
    code, out, err = run("sample", "--prompt", "a purple circle", "--count", "1", "--steps", "2", "--out", "other")
    assert code == 0 and "purple" in out + err
