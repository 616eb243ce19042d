"""What is said of samples: how many values make how many samples; and what guidance leads away from."""

import pytest
import torch
from tiny_recipe import tiny

from filmgrain.diffusion.draw import Draw
from filmgrain.generate.sampling import Config, denoiser_of
from filmgrain.generate.videos import generate
from filmgrain.recipe import loads
from filmgrain.runs import build

WORDS = """
[conditions.words]
vocabulary = ["a", "red", "blue", "circle", "square"]
width = 8
layers = 1
"""
QUICK = Config(steps=2, scale=3.0)


@pytest.fixture(scope="module")
def worded():
    torch.manual_seed(0)
    model = build(loads(tiny(WORDS))).eval()
    torch.nn.init.normal_(model.network.out.weight)
    torch.nn.init.normal_(model.conditioners["words"].nothing)
    return model


def test_there_are_as_many_samples_as_values_and_one_value_is_for_all(worded):
    both = generate(worded, given={"caption": ["a red circle", "a blue square"]}, config=QUICK)
    assert len(both) == 2 and len(generate(worded, given={"caption": "a red circle"}, config=QUICK)) == 1
    alike = generate(worded, 2, given={"caption": "a red circle"}, config=QUICK)
    torch.testing.assert_close(alike[0], both[0])
    assert not torch.allclose(alike[1], both[1])


def test_a_negative_caption_takes_the_place_of_nothing(worded):
    """x0 = away + scale (x0_cond - away)."""
    z, level = torch.randn(2, 3, 2, 8, 8), torch.zeros(2)
    said, away = (worded.condition({"caption": [text] * 2}, Draw(0, (0, 1))) for text in ("a red circle", "blue"))
    config = Config(scale=3.0, negative="blue", threshold="none")
    with torch.no_grad():
        towards, other = worded(z, level, said), worded(z, level, away)
        given = denoiser_of(worded, config, 2, conditional=True)(z, level, said)
    torch.testing.assert_close(given, other + 3 * (towards - other), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(towards, other, atol=1e-3)


@pytest.mark.parametrize(
    ("count", "given", "says"),
    [
        (3, {"caption": ["a", "b"]}, "2 values of caption for 3 samples; give one for each, or one for all"),
        (None, {}, "count=0, batch=8: both are numbers of samples"),
        (2, {"label": [1]}, 'the model was not trained with "label"; it knows caption'),
    ],
)
def test_values_that_do_not_fit_are_refused(worded, count, given, says):
    with pytest.raises(ValueError, match=says):
        generate(worded, count, given=given, config=QUICK)


def test_a_negative_caption_needs_guidance_and_a_model_with_captions(worded):
    with pytest.raises(ValueError, match='negative="blue" does nothing without guidance; set scale above 1'):
        Config(negative="blue")
    mute = build(loads(tiny().replace("condition = 6\n", "")))
    with pytest.raises(ValueError, match='negative="blue": the model was trained without captions'):
        denoiser_of(mute, Config(scale=2.0, negative="blue"), 1, conditional=True)
