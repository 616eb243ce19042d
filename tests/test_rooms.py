"""A module by dotted path: whoever types it may run it; a file that was passed on may not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmgrain import rooms
from filmgrain.recipe import RecipeError, dumps, load, loads, override

MINIMAL = '[data]\nname = "moving_shapes"\n[network]\nname = "unet3d"\n'
NAMED = {  # where a recipe may name a module
    "data": '[data]\nname = "strangers.code"\n[network]\nname = "unet3d"\n',
    "network": '[data]\nname = "moving_shapes"\n[network]\nname = "strangers.code"\n',
    "codec": MINIMAL + '[codec]\nname = "strangers.code"\n',
    "task": MINIMAL + '[task]\nname = "strangers.code"\n',
    "condition": MINIMAL + '[conditions."strangers.code"]\n',
    "sampler": MINIMAL + '[sample]\nsampler = "strangers.code"\n',
    "predictor": MINIMAL + '[sample]\nsampler = "langevin"\noptions = {predictor = "strangers.code"}\n',
    "predictor of a predictor": MINIMAL
    + '[sample]\nsampler = "repaint"\noptions = {predictor = "langevin", options = {predictor = "strangers.code"}}\n',
}


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is there once the module strangers.code has run; the module is on the Python path."""
    proof = tmp_path / "proof"
    (tmp_path / "strangers").mkdir()
    (tmp_path / "strangers" / "code.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield proof
    for name in ("strangers", "strangers.code"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("where", NAMED)
def test_a_recipe_runs_nobodys_module(proof: Path, where: str) -> None:
    with pytest.raises(RecipeError) as error:
        loads(NAMED[where], source="theirs.toml")
    assert not proof.exists() and "\n" not in str(error.value)
    if not where.startswith("predictor of"):  # which correctors refuse by themselves
        assert "FILMGRAIN_MODULES=strangers" in str(error.value) and str(error.value).startswith("theirs.toml: ")


def test_what_is_allowed_is_imported(proof: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILMGRAIN_MODULES", "strange,strangers.codex,strangers.cod")
    with pytest.raises(RecipeError, match="FILMGRAIN_MODULES=strangers"):
        loads(NAMED["network"])
    monkeypatch.setenv("FILMGRAIN_MODULES", " other , strangers.code ")
    with pytest.raises(RecipeError, match=r'"strangers\.code" is unknown'):  # it ran, and has no Config
        loads(NAMED["network"])
    assert proof.exists()


@pytest.mark.parametrize("setting", ["network.name=strangers.code", "network={name='strangers.code'}"])
def test_what_is_typed_is_imported(proof: Path, setting: str) -> None:
    recipe = loads(MINIMAL)
    with pytest.raises(RecipeError, match=r'"strangers\.code" is unknown'):
        override(recipe, [setting])
    assert proof.exists()


def test_what_has_been_imported_may_be_named(proof: Path) -> None:
    rooms.find("networks", "strangers.code")
    with rooms.foreign():
        assert rooms.find("networks", "strangers.code") is sys.modules["strangers.code"]


@pytest.mark.parametrize(
    "name",
    ["os.path", "email.charset", "dataclasses.x", "filmgrain.__main__", ".code", "strangers.", "a..b", "a b.c", "."],
)
def test_a_module_of_another_kind_is_refused_in_one_line(proof: Path, name: str) -> None:
    for text in (NAMED["network"], NAMED["data"], NAMED["condition"], NAMED["sampler"]):
        with pytest.raises(RecipeError) as error:
            loads(text.replace("strangers.code", name))
        assert "\n" not in str(error.value) and name in str(error.value)


def test_a_shipped_recipe_names_no_module_of_others() -> None:
    assert "." not in rooms.name_of(load("moving_shapes").network) and loads(dumps(load("moving_shapes")))
