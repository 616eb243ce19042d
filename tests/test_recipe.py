"""Recipes: what is written is what is read, and whatever is wrong is one line that says where."""

import sys
from dataclasses import replace

import pytest

from filmgrain import recipe as recipes
from filmgrain.data import moving_shapes
from filmgrain.diffusion.schedules import SCHEDULES, Cosine, Flow
from filmgrain.diffusion.weighting import MinSNR
from filmgrain.networks import unet3d
from filmgrain.recipe import Recipe, RecipeError, dumps, loads, override
from filmgrain.recipe_toml import comments

MINIMAL = '[data]\nname = "moving_shapes"\n[network]\nname = "unet3d"\n'


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(data=moving_shapes.Config(), network=unet3d.Config(mults=(1, 2)))


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as error:
        loads(text, source="a.toml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_sections_left_out_are_the_defaults():
    assert loads(MINIMAL) == Recipe(data=moving_shapes.Config(), network=unet3d.Config())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_written_is_read(recipe, schedule):
    text = dumps(override(recipe, [f"diffusion.schedule={schedule}", "sample.options.eta=0.5", "train.lr=1e-5"]))
    assert dumps(loads(text)) == text
    assert loads(text).train.lr == 1e-5
    assert loads(text).sample.options == {"eta": 0.5}
    assert type(loads(text).diffusion.schedule) is SCHEDULES[schedule]


def test_odd_strings_survive(recipe):
    odd = 'a "quoted" \\ path # no comment\nand a line — ünï'
    folder = recipes.find("data", "video_folder").Config(folder=odd)
    assert loads(dumps(replace(recipe, data=folder))).data.folder == odd


def test_every_field_is_written_with_its_comment(recipe):
    assert "steps = 20000  # optimiser steps of the whole run\n" in dumps(recipe)
    for config in (recipe.train, recipe.sample, recipe.network):
        assert comments(type(config)).keys() == config.__dataclass_fields__.keys()


def test_a_choice_is_a_string_or_a_table():
    assert loads(MINIMAL + '[diffusion]\nschedule = "flow"').diffusion.schedule == Flow()
    table = '[diffusion.schedule]\nname = "cosine"\nshift = -2\n'
    assert loads(MINIMAL + table).diffusion.schedule == Cosine(shift=-2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nstepz = 5", 'a.toml: [train] has no "stepz"; did you mean "steps"?'),
        ("[trian]\nsteps = 5", 'a.toml: there is no section [trian]; did you mean "train"?'),
        ("train = 5", "a.toml: train=5 is no section"),
        (
            '[train]\nsteps = "many"',
            'a.toml: train.steps="many" is a str; expected int (optimiser steps of the whole run)',
        ),
        ("[train]\nlr = inf", "train.lr=inf is not finite; expected float (learning rate after the warm-up)"),
        ("[diffusion.schedule]\nname = 'cosine'\nshift = nan", "diffusion.schedule.shift=nan is not finite"),
        ("[train]\nsteps = 2.0", "train.steps=2.0 is a float; expected int"),
        ("[train]\nsteps = true", "train.steps=true is a bool; expected int"),
        ("[train]\ntensorboard = 1", "train.tensorboard=1 is an int; expected bool"),
        ("[train]\ndevice = 1", "train.device=1 is an int; expected str"),
        ("[train]\nbetas = [0.9]", "train.betas=[0.9] is a list; expected a list of 2 float"),
        ("[train]\nbetas = 0.9", "train.betas=0.9 is a float; expected a list of 2 float"),
        ("[sample]\noptions = {eta = [1]}", "expected a table of float or int or str or bool or dict"),
        ("[train]\nsteps = 0", "a.toml: train.steps=0 is not allowed; it must be at least 1"),
        ("[sample]\nsteps = 0", "a.toml: [sample] steps=0 is not"),
        ('[sample]\nsampler = "dim"', 'did you mean "ddim"?'),
        ("[sample.options]\ngamma = 1", '[sample] the sampler ddim has no option "gamma"'),
        ('[task]\nweighting = "minsnr"', 'task.weighting="minsnr" is unknown; did you mean "min_snr"?'),
        ("[task.weighting]\ngamma = 5", "task.weighting={gamma = 5} has no name"),
        ('[task.weighting]\nname = "min_snr"\ngama = 5', '[task.weighting] has no "gama"; did you mean "gamma"?'),
        ("[task.weighting]\nname = 'min_snr'\ngamma = -1", "[task.weighting] gamma=-1.0"),
        ('[codec]\nname = "pixel"', 'codec.name="pixel" is unknown; did you mean "pixels"?'),
        ("[codec]\nname = 3", "[codec] has the name 3; use one of pixels"),
        ("[train", "a.toml: "),
    ],
)
def test_what_is_wrong_is_said(text, message):
    assert message in refused(text if text.startswith("train =") else MINIMAL + text)


def test_sections_that_must_be_named():
    assert "[data] has no name; use one of" in refused('[network]\nname = "unet3d"')
    assert "moving_shapes" in refused('[network]\nname = "unet3d"')
    assert "loader" not in refused('[data]\nname = "x"\n[network]\nname = "unet3d"')  # a file of data/, but no dataset
    assert 'data.name="loader" is unknown' in refused('[data]\nname = "loader"\n[network]\nname = "unet3d"')
    assert 'data.name: "no.such" of data is code from elsewhere' in refused('[data]\nname = "no.such"')
    with pytest.raises(RecipeError, match=r'data\.name: "no\.such" of data cannot be imported'):
        loads('[data]\nname = "no.such"', trusted=True)


def test_a_required_field_is_asked_for():
    assert "data.folder is missing; give it a value (of the files" in refused(
        '[data]\nname = "video_folder"\n[network]\nname = "unet3d"'
    )


def test_channels_must_agree():
    assert "network.channels=1, but the data have 3" in refused(MINIMAL + "channels = 1")


PICTURES = '[data]\nname = "image_folder"\nfolder = "x"\n[network]\n'
TABLE = '[diffusion.schedule]\nname = "linear_beta"\nsteps = 2000\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MINIMAL.replace("unet3d", "unet2d"),
            "the data are clips, and unet2d is a network of images; set network.name",
        ),
        (
            PICTURES + 'name = "ddpm_unet"',
            "ddpm_unet takes steps, so it needs a schedule of steps; set diffusion.sched",
        ),
        (PICTURES + 'name = "unet2d"\nsteps = true', "linear_beta or another table, or network.steps=false"),
        (
            PICTURES + f'name = "ddpm_unet"\n{TABLE}',
            "network.table=1000 has no row for step 1999; set network.table=2000",
        ),
    ],
)
def test_network_data_and_schedule_must_suit_each_other(text, message):
    assert message in refused(text)


def test_networks_of_steps_take_a_schedule_of_no_more_steps_than_they_know():
    for name in ("ddpm_unet", "simple_unet"):
        assert loads(PICTURES + f'name = "{name}"\n{TABLE.replace("2000", "300")}').diffusion.steps == 300


def test_a_newer_format_is_refused():
    assert "format 99, of a newer version" in refused("format = 99\n[unheard_of]\n" + MINIMAL)


def test_override(recipe):
    changed = override(recipe, ["train.steps=7", "network.mults=[1,2,4]", "train.device=cpu", "task.weighting=min_snr"])
    assert (changed.train.steps, changed.network.mults, changed.train.device) == (7, (1, 2, 4), "cpu")
    assert changed.task.weighting == MinSNR()
    assert replace(changed, train=recipe.train, network=recipe.network, task=recipe.task) == recipe


def test_a_new_name_starts_from_the_defaults_of_the_new(recipe):
    recipe = override(recipe, ["data.frames=5", "diffusion.schedule.shift=1"])
    assert recipe.diffusion.schedule == Cosine(shift=1.0)
    assert override(recipe, ["diffusion.schedule=cosine"]) == recipe  # not a new one
    changed = override(recipe, ["data.height=32", "data.name=fireworks", "diffusion.schedule=flow"])  # in any order
    fireworks = recipes.find("data", "fireworks").Config
    assert changed.data == fireworks(height=32)
    assert changed.diffusion.schedule == Flow()


def test_a_new_name_keeps_what_it_must_be_given(recipe):
    videos = override(recipe, ["data.name=video_folder", "data.folder=clips", "data.height=32"])
    changed = override(videos, ["data.name=image_folder"])
    assert changed.data == recipes.find("data", "image_folder").Config(folder="clips")
    assert override(videos, ["data.name=image_folder", "data.folder=other"]).data.folder == "other"
    assert override(videos, ["data.name=moving_shapes"]).data == recipes.find("data", "moving_shapes").Config()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.steps", "--set train.steps: expected KEY=VALUE"),
        ("steps=5", "--set: there is no section [steps]"),
        ("steps=5", "there is no section"),
        ("train.steps.x=5", "steps is no table"),
        ("train.steps=abc", 'train.steps="abc" is a str; expected int'),
        ("train.stepz=5", 'did you mean "steps"?'),
        ("data.name=movingshapes", 'did you mean "moving_shapes"?'),
    ],
)
def test_override_says_what_is_wrong(recipe, setting, message):
    with pytest.raises(RecipeError) as error:
        override(recipe, [setting])
    assert message in str(error.value)


def test_values_that_look_like_dates_are_strings(recipe):
    assert override(recipe, ["data.name=video_folder", "data.folder=2024-01-31"]).data.folder == "2024-01-31"


def test_ones_own_module_by_dotted_path(tmp_path, monkeypatch):
    (tmp_path / "my_data.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True, kw_only=True)\nclass Config:\n    size: int = 8\n"
        "    @property\n    def shape(self): return 3, self.size, self.size, self.size\n"
        "class Dataset: ...\n"
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "my_data.py").rename(tmp_path / "mine" / "data.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FILMGRAIN_MODULES", "other, mine")
    recipe = loads(MINIMAL.replace("moving_shapes", "mine.data") + "[data.x]\n".replace("[data.x]\n", ""))
    assert recipe.data.shape == (3, 8, 8, 8)
    assert loads(dumps(recipe)) == recipe
    del sys.modules["mine.data"], sys.modules["mine"]


@pytest.mark.parametrize(("given", "names"), [('"fashion"', "fashion"), ('["a", "b"]', ("a", "b"))])
def test_a_field_of_two_types(given, names):
    text = '[data]\nname = "idx"\nfolder = "f"\nnames = NAMES\n[network]\nname = "unet3d"\nchannels = 1\n'
    recipe = loads(text.replace("NAMES", given))
    assert recipe.data.names == names and loads(dumps(recipe)) == recipe
    with pytest.raises(RecipeError, match=r"data.names=3 is an int; expected str or a list of str"):
        loads(text.replace("NAMES", "3"))


def test_load(tmp_path, monkeypatch, recipe):
    path = tmp_path / "r.toml"
    path.write_text(dumps(recipe))
    assert recipes.load(path) == recipe
    monkeypatch.setattr(recipes, "FOLDERS", (tmp_path,))
    assert recipes.load("r") == recipe
    (tmp_path / "r.txt").touch()
    for given in ("rr", "missing.toml", str(tmp_path / "r.txt")):
        with pytest.raises(RecipeError, match=given):
            recipes.load(given)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="no text"):
        recipes.load(path)


@pytest.mark.parametrize("name", recipes.shipped())
def test_shipped_recipes_are_sound(name):
    recipe = recipes.load(name)
    assert loads(dumps(recipe)) == recipe
