"""Frame rate and frame skip as conditions."""

import pytest
import torch
from tiny_recipe import tiny

import filmgrain
from filmgrain import runs
from filmgrain.conditioning import frame_rate, frame_skip
from filmgrain.data import moving_shapes, video_folder
from filmgrain.diffusion.draw import Draw
from filmgrain.generate.videos import generate
from filmgrain.recipe import RecipeError, loads, override

RECIPE = tiny("[conditions.frame_rate]\n[conditions.frame_skip]\nskips = [1, 2]")


def vectors(module, values, **settings):
    torch.manual_seed(0)
    made = module.Conditioner(module.Config(**settings), vector=6)
    torch.nn.init.normal_(next(iter(made.parameters())))
    return made, made({made.key: values}, Draw(0, tuple(range(len(values)))), None).vector


def test_rates_are_told_apart_smoothly_and_a_still_is_its_own():
    made, (slow, near, fast, still) = vectors(frame_rate, torch.tensor([8.0, 8.01, 30.0, 0.0]))
    assert torch.allclose(slow, near, atol=0.01) and not torch.allclose(slow, fast, atol=0.01)
    assert torch.equal(still, made.still) and torch.equal(made.null(2).vector, made.nothing.expand(2, -1))
    still.sum().backward()
    assert made.still.grad.any() and all(p.grad.isfinite().all() for p in made.parameters() if p.grad is not None)


def test_each_skip_has_its_vector_and_an_unknown_one_is_refused():
    made, (one, four, still) = vectors(frame_skip, [1, 4, 0], skips=(1, 4))
    assert len({tuple(v.tolist()) for v in (one, four, still, made.null(1).vector[0])}) == 4
    assert made.examples(3) == [1, 4, 1]
    with pytest.raises(ValueError, match=r"frame_skip=2 is none of \[1, 4\]; set conditions.frame_skip.skips"):
        made({"frame_skip": [1, 2]}, Draw(0, (0, 1)), None)


@pytest.mark.parametrize("skips", [(), (0, 1), (2, 2)])
def test_skips_that_cannot_be(skips):
    with pytest.raises(ValueError, match="are not one or more different numbers above 0"):
        frame_skip.Config(skips=skips)


class Paced(moving_shapes.Dataset):
    """Moving shapes that say how fast they were cut."""

    def item(self, index, rng):
        return super().item(index, rng) | {"fps": rng.choice([6.0, 12.0]), "frame_skip": rng.choice([1, 2])}


def test_both_are_trained_with_images_and_asked_for(tmp_path):
    recipe = override(loads(RECIPE), ["task.images=2"])
    data = {split: Paced(recipe.data, split) for split in ("train", "held_out")}
    runs.train(recipe, tmp_path / "run", data=data)
    model = filmgrain.load(tmp_path / "run")
    assert model.conditioners["frame_rate"].still.any()  # it has been trained: the images are stills
    slow, fast = (generate(model, 1, given={"fps": [f], "frame_skip": [1]}, config=recipe.sample) for f in (2.0, 30.0))
    assert not torch.equal(slow, fast)


def test_data_without_a_pace_are_refused(tmp_path):
    with pytest.raises(
        RecipeError, match=r'^conditions.frame_rate needs "fps" of each item, which moving_shapes has not'
    ):
        runs.train(loads(RECIPE), tmp_path / "run")


def test_a_stride_without_a_vector_is_refused_before_anything_is_read():
    films = video_folder.Config(folder="films", frames=4, height=8, width=8, stride=(1, 4))
    frame_skip.Config(skips=(1, 2, 4)).check_data(films)
    with pytest.raises(ValueError, match=r"skips=\[1, 2\] lack one of data.stride=\[1, 4\]"):
        frame_skip.Config(skips=(1, 2)).check_data(films)
