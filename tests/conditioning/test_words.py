"""Captions of known words: read, told apart, trained, and refused where they cannot be."""

import pytest
import torch
from tiny_recipe import tiny

import filmgrain
from filmgrain.conditioning.words import Conditioner, Config, split
from filmgrain.diffusion.draw import Draw
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate
from filmgrain.recipe import RecipeError, loads

WORDS = ("a", "red", "blue", "circle", "square", "moving", "left")
RECIPE = tiny("""
[conditions.words]
vocabulary = ["a", "red", "blue", "circle", "square", "moving", "left"]
width = 8
layers = 1
examples = ["a red circle moving left"]
""")


def conditioner(**change):
    torch.manual_seed(0)
    return Conditioner(Config(vocabulary=WORDS, width=8, **change), vector=6).eval()


def read(captions, made=None):
    made = made or conditioner()
    return made({"caption": captions}, Draw(0, tuple(range(len(captions)))), None).vector


def test_words_are_split_without_case_and_punctuation():
    assert split("A Red, circle_moving  LEFT!") == ["a", "red", "circle", "moving", "left"]
    assert split("…") == []


def test_a_caption_is_read_alike_alone_and_beside_a_longer_one():
    beside = read(["a red circle", "a blue square moving left"])
    torch.testing.assert_close(read(["A red circle."])[0], beside[0])


def test_words_and_their_order_tell():
    red, blue, turned, strange, stranger = read(
        ["red circle blue square", "blue circle red square", "square blue circle red", "x circle", "y circle"]
    )
    assert not torch.allclose(red, blue, atol=1e-4) and not torch.allclose(red, turned, atol=1e-4)
    assert torch.equal(strange, stranger)  # words that are not known are one and the same


def test_without_a_transformer_each_word_says_its_own():
    red, blue, left, both = read(
        ["a red circle", "a blue circle", "a red square", "a blue square"], conditioner(layers=0)
    )
    torch.testing.assert_close(blue - red, both - left)
    red, blue, left, both = read(["a red circle", "a blue circle", "a red square", "a blue square"])
    assert not torch.allclose(blue - red, both - left, atol=1e-3)


def test_no_words_are_the_null_condition():
    made = conditioner()
    torch.nn.init.normal_(made.nothing)
    assert torch.equal(read(["", "..."], made), made.null(2).vector)


def test_a_long_caption_loses_its_end_and_unknown_words_are_named():
    made = conditioner(length=3)
    assert torch.equal(*read(["a red circle moving left", "a red circle"], made))
    assert made.config.unknown("A pink circle, pink and RED") == ["pink", "and"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"vocabulary": ()}, "vocabulary of 0 words is empty"),
        ({"vocabulary": ("a", "a")}, "has a word twice"),
        ({"vocabulary": ("a red",)}, 'holds "a red", which is no single word'),
        ({"width": 6}, "width=6 is not a multiple of heads=4"),
        ({"length": 0}, "length=0 is not positive"),
        ({"layers": -1}, "layers=-1 is negative"),
        ({"drop": 1.0}, "drop=1.0 is not a part"),
    ],
)
def test_what_cannot_be_read_by_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        Config(**{"vocabulary": WORDS, **fields})


def test_it_is_trained_saved_loaded_and_tells_videos_apart(tmp_path):
    filmgrain.train(loads(RECIPE), tmp_path / "run")
    model = filmgrain.load(tmp_path / "run")
    trained, new = model.conditioners["words"].state_dict(), conditioner(layers=1).state_dict()
    assert not torch.equal(trained["table.weight"], new["table.weight"])
    drawn = generate(
        model, 3, given={"caption": ["a red circle", "a blue square", ""]}, config=Sampling(steps=2, scale=2.0)
    )
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[1], drawn[2])


def test_data_without_captions_are_refused(tmp_path):
    recipe = loads(RECIPE.replace('name = "moving_shapes"', 'name = "fireworks"'))
    with pytest.raises(RecipeError, match=r"conditions\.words needs data with captions; these have none"):
        filmgrain.train(recipe, tmp_path / "run")
