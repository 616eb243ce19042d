"""The documentation is held against the code: commands and flags exist, code runs or compiles, links lead somewhere."""

import ast
import importlib
import re
import runpy
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from test_architecture import MAY_IMPORT, PACKAGE
from text_encoder import Stub

import filmgrain
from filmgrain import recipe as recipes
from filmgrain.cli import app
from filmgrain.cli.flow import flow
from filmgrain.recipe import CONFIGS, ROOMS
from filmgrain.rooms import find, names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*(path for path in sorted(ROOT.glob("*.md"))), *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)(?: title=\"(.+?)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[tuple[str, str]]:
    """(title, code) of each block in one of the languages."""
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [(title, code) for language, title, code in found if language in languages]


def commands(text: str) -> list[list[str]]:
    """The words of each line of a shell block, continued lines joined, comments left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))]


TYPED = [
    (name_of(path), words)
    for path in [*PAGES, *sorted((ROOT / "recipes").glob("*.toml"))]
    for words in [
        *(words for _, code in blocks(path, "sh") for words in commands(code)),
        *(words for code in re.findall(r"`(filmgrain [^`\n]+)`", path.read_text()) for words in commands(code)),
        *(words for code in re.findall(r"^# {5}(filmgrain .+)$", path.read_text(), re.M) for words in commands(code)),
    ]
]


def settings_known() -> set[str]:
    """Every key that --set may name."""
    configs = [(section, config) for section, config in CONFIGS.items()]
    modules = [(section, find(room, name)) for section, room in ROOMS.items() for name in names(room)]
    configs += [(section, module.Config) for section, module in modules if hasattr(module, "Config")]
    fields = {f"{section}.{field}" for section, config in configs for field in config.__dataclass_fields__}
    conditions = [name for name in names("conditioning") if hasattr(find("conditioning", name), "Config")]
    return fields | {f"{section}.name" for section in ROOMS} | {f"conditions.{name}" for name in conditions}


@pytest.mark.parametrize(("page", "words"), TYPED, ids=[f"{page}: {' '.join(words)}" for page, words in TYPED])
def test_a_command_exists(page, words):
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(words[1:]) <= set(targets)
    elif words[0] == "python" and words[1].startswith("examples/"):
        assert (ROOT / words[1]).is_file()
    elif words[0] == "filmgrain":
        command = typer.main.get_command(app)
        for word in words[1:]:
            if not hasattr(command, "commands") or word.startswith("-") or word == "COMMAND":
                break
            assert word in command.commands, f"filmgrain has no command {word}"
            command = command.commands[word]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for word in words[1:]:
            assert not word.startswith("--") or word.partition("=")[0] in known, f"{words[1]} has no {word}"
        for flag, setting in pairwise(words):
            key = ".".join(setting.partition("=")[0].split(".")[:2])
            assert flag != "--set" or setting == "KEY=VALUE" or key in settings_known(), f"no recipe has {key}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_python_compiles(path):
    for _, code in blocks(path, "python"):
        ast.parse(code)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_public_names_are_what_they_are_called(path):
    """Each filmgrain.NAME( in a block can be called, also once every room has been imported."""
    importlib.import_module("filmgrain.generate.videos")
    for _, code in blocks(path, "python"):
        for name in re.findall(r"\bfilmgrain\.(\w+)\(", code):
            assert callable(getattr(filmgrain, name)), (
                f"filmgrain.{name} is a {type(getattr(filmgrain, name)).__name__}"
            )


def test_the_code_of_extending_runs(tmp_path, monkeypatch):
    """Blocks with a title are files; the others, in their order, are one script that uses them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mylab").mkdir()
    found = blocks(DOCS / "extending.md", "python")
    for title, code in found:
        if title:
            Path(title).write_text(code, encoding="utf-8")
    Path("script.py").write_text("\n".join(code for title, code in found if not title), encoding="utf-8")
    runpy.run_path("script.py")
    for name in [name for name in sys.modules if name.split(".")[0] == "mylab"]:
        monkeypatch.delitem(sys.modules, name)


def slug(heading: str) -> str:
    return re.sub(r"[ -]+", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower()))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{target} names no heading"


def test_the_page_of_recipes_is_up_to_date():
    page = runpy.run_path(str(DOCS / "make_recipes.py"))["page"]()
    assert (DOCS / "recipes.md").read_text(encoding="utf-8") == page, "run: python docs/make_recipes.py"


def test_every_command_has_its_page_and_all_its_flags_are_there():
    made = runpy.run_path(str(DOCS / "make_commands.py"))
    pages = {made["file_of"](name): made["page"](name, command) for name, command in made["commands"]()}
    assert pages.keys() == set((DOCS / "commands").glob("*.md"))
    for path, page in pages.items():
        assert path.read_text(encoding="utf-8") == page, f"{path.name}: run python docs/make_commands.py"
        assert f"commands/{path.name}" in (DOCS / "commands.md").read_text(encoding="utf-8")


def test_every_setting_is_on_the_page():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    for key in settings_known():
        assert f"`{key.split('.')[1]}`" in text or f".{key.split('.')[1]}" in text, key
    assert all(f"| `{name}` |" in text for name in recipes.shipped())


@pytest.mark.parametrize("name", recipes.shipped())
def test_a_shipped_recipe_builds(name, monkeypatch):
    monkeypatch.setattr("filmgrain.conditioning.text.opened", lambda encoder, length: Stub())
    recipe, text = recipes.load(name), recipes.shipped()[name].read_text(encoding="utf-8")
    assert flow(recipe)[-1].shape == (1, *recipe.data.shape)
    assert text.startswith("# ") and "filmgrain " in text.partition("\n[")[0]


def test_the_table_of_rooms_is_that_of_the_code():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w/.]+)` \|.*\| ([^|]+) \|$", text, re.MULTILINE))
    code = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    rooms = {path.stem: path.name + "/" * path.is_dir() for path in code if not path.name.startswith("__")}
    assert listed.keys() == set(rooms.values())
    for room, shown in rooms.items():
        allowed = MAY_IMPORT[room]
        expected = ["everything"] if allowed == ["*"] else [other for other in allowed if other in rooms]
        assert sorted(re.findall(r"\w+", listed[shown])) == sorted(expected), room
