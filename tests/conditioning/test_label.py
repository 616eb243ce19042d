"""Labels, from the condition's own laws to a model that is guided by them."""

import pytest
import torch
from tiny_recipe import tiny

import filmgrain
from filmgrain import rooms, runs
from filmgrain.autoencoders import pixels
from filmgrain.conditioning import Conditioner, label
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.videos import generate
from filmgrain.recipe import RecipeError, dumps, loads, override

NAMES = ("square", "triangle", "ring")
KINDS = 'kinds = ["square", "triangle", "ring"]'
LABEL = """
[conditions.label]
names = ["square", "triangle", "ring"]
drop = 0.25
"""
RECIPE = tiny(LABEL, KINDS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label") / "run"
    filmgrain.train(loads(RECIPE), folder)
    return folder


def conditioner():
    torch.manual_seed(0)
    return label.Conditioner(label.Config(names=NAMES), vector=6)


CONDITIONS = [name for name in rooms.names("conditioning") if hasattr(rooms.find("conditioning", name), "Conditioner")]


@pytest.mark.parametrize("name", CONDITIONS)
def test_each_condition_keeps_to_the_protocol(name):
    fields = {"label": {"names": NAMES}, "words": {"vocabulary": NAMES}, "frame_skip": {"skips": (1, 4)}}
    module = rooms.find("conditioning", name)
    made = module.Conditioner(module.Config(**fields.get(name, {})), vector=6)
    assert isinstance(made, Conditioner) and isinstance(made, torch.nn.Module)
    null = made.null(2).vector
    assert null.shape == (2, 6)
    assert len(made.examples(5)) in (0, 5) and made.examples(5) == made.examples(5)  # none: previews take data
    values = made.examples(3) or torch.zeros(3, 3, 2, 16, 16)
    given = made({made.key: values}, Draw(0, (0, 1, 2)), pixels.Codec(pixels.Config())).vector
    assert given.shape == (3, 6)


def test_a_label_is_a_row_of_its_own_and_no_label_another():
    c, draw = conditioner(), Draw(0, (0, 1, 2))
    given = c({"label": [2, 0, 2]}, draw, None).vector
    assert torch.equal(given[0], given[2]) and not torch.equal(given[0], given[1])
    null = c.null(3).vector
    assert null.shape == given.shape and all(not torch.equal(null[0], row) for row in c.table.weight[:-1])
    assert c.examples(5) == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_label_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=f"label {wrong} is none of the 3 classes, 0 to 2"):
        conditioner()({"label": torch.tensor([0, wrong])}, Draw(0, (0, 1)), None)


def test_the_part_that_is_dropped_is_a_function_of_the_draw():
    model = runs.build(loads(RECIPE))
    ids = tuple(range(4000))
    batch = {"label": torch.arange(4000) % 3}
    kept = model.condition(batch, Draw(1, ids)).vector
    some = model.condition(batch, Draw(1, ids), drop=True).vector
    null = model.null(1).vector
    dropped = (some == null).all(1)
    assert dropped.float().mean() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(some[~dropped], kept[~dropped])
    alone = model.condition({"label": batch["label"][7:8]}, Draw(1, (7,)), drop=True).vector
    assert torch.equal(alone[0], some[7])  # whatever the batch


def test_it_is_trained_saved_loaded_and_guides(trained):
    model = filmgrain.load(trained)
    config = Sampling(steps=2)
    plain = generate(model, 2, config=config)
    ring = generate(model, 2, config=config, given={"label": [2, 2]})
    square = generate(model, 2, config=config, given={"label": [0, 0]})
    assert not torch.equal(ring, square) and not torch.equal(ring, plain)
    torch.testing.assert_close(generate(model, 2, config=Sampling(steps=2, scale=0.0), given={"label": [2, 2]}), plain)
    far = generate(model, 2, config=Sampling(steps=2, scale=3.0, threshold="none"), given={"label": [2, 2]})
    assert not torch.allclose(far, ring, atol=1e-6)
    never = Sampling(steps=2, scale=3.0, interval=(90.0, 91.0))
    torch.testing.assert_close(generate(model, 2, config=never, given={"label": [2, 2]}), ring)


def test_a_model_without_labels_refuses_one(trained):
    plain = runs.build(loads(tiny(data=KINDS).replace("condition = 6", "")))
    with pytest.raises(ValueError, match='not trained with "label"; it knows no conditions'):
        generate(plain, 1, given={"label": [0]})
    with pytest.raises(ValueError, match="2 values of label for 3 samples"):
        generate(filmgrain.load(trained), 3, given={"label": [0, 1]})


def test_data_of_other_classes_are_refused(tmp_path):
    recipe = override(loads(RECIPE), ['data.kinds=["square","ring"]'])
    with pytest.raises(
        ValueError, match=r"the data have 2 classes and conditions\.label names 3, they differ in triangle"
    ):
        filmgrain.train(recipe, tmp_path / "run")


def test_recipes_hold_conditions():
    recipe = loads(RECIPE)
    assert loads(dumps(recipe)) == recipe
    assert override(recipe, ["conditions.label.drop=0.5"]).conditions["label"].drop == 0.5
    for text, says in (
        (RECIPE.replace("conditions.label", "conditions.lable"), 'did you mean "label"'),
        (RECIPE.replace("condition = 6", ""), "set network.condition=128"),
        (RECIPE.replace("drop = 0.25", "drop = 1.0"), "drop=1.0 is not a part"),
        (RECIPE.replace('"square", "triangle", "ring"]\ndrop', '"ring", "ring"]\ndrop'), "two or more different"),
    ):
        with pytest.raises(RecipeError, match=says) as caught:
            loads(text)
        assert "\n" not in str(caught.value)


def test_conditions_join_by_their_doors():
    assert Cond() | conditioner().null(2) != Cond()
    assert label.Config(names=NAMES).label_of("Ring") == label.Config(names=NAMES).label_of("2") == 2
    with pytest.raises(ValueError, match="the classes are square, triangle, ring"):
        label.Config(names=NAMES).label_of("sneaker")
