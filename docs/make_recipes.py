"""Writes the second half of docs/recipes.md, every section and field, from the dataclasses: python docs/make_recipes.py

A test holds the page against what this writes, so that it cannot go stale.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path

from filmgrain.recipe import CONFIGS, ROOMS, SECTIONS, USUAL
from filmgrain.recipe_toml import comments, literal
from filmgrain.rooms import find, names

PAGE = Path(__file__).parent / "recipes.md"
MARK = "<!-- Below this line the page is written by docs/make_recipes.py. -->\n"
ABOUT = {
    "data": "What is learnt: a file of `data/`. The section must be there, with its `name`.",
    "network": "What learns: a file of `networks/`. The section must be there, with its `name`.",
    "conditions": "What the model is told: a table [conditions.NAME] for each; files of `conditioning/`. Optional.",
    "codec": "What is diffused: a file of `autoencoders/`. May be left out.",
    "diffusion": "How data becomes noise, and what the network predicts.",
    "task": "What is minimised: a file of `tasks/`. May be left out.",
    "train": "How the run is trained.",
    "sample": "How samples are drawn, in previews and by `filmgrain sample`. May change when a run is resumed.",
}


def page() -> str:
    """The page as it should be: what was written by hand, and the tables."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + "\n".join(sections())


def sections() -> Iterator[str]:
    for section in SECTIONS:
        yield f"## [{section}]\n\n{ABOUT[section]}\n"
        if section in CONFIGS:
            yield from table(CONFIGS[section], section)
            continue
        if section == "conditions":
            for name in (name for name in names("conditioning") if hasattr(find("conditioning", name), "Config")):
                module = find("conditioning", name)
                yield f"### [conditions.{name}]\n\n{(module.__doc__ or '').splitlines()[0]}\n"
                yield from table(module.Config, f"conditions.{name}")
            continue
        for name in (name for name in names(ROOMS[section]) if hasattr(find(ROOMS[section], name), "Config")):
            usual = ", which is the usual one" if USUAL.get(section) == name else ""
            module = find(ROOMS[section], name)
            yield f'### {section}.name = "{name}"{usual}\n\n{(module.__doc__ or "").splitlines()[0]}\n'
            yield from table(module.Config, section)


def table(config: type, where: str) -> Iterator[str]:
    """One row a field; then the tables of what may be chosen inside it."""
    plain = [field for field in fields(config) if "choices" not in field.metadata]
    meaning = comments(config)
    rows = [f"| `{f.name}` | {default(f)} | {escaped(meaning.get(f.name, ''))} |" for f in plain]
    yield "\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n" if rows else "It has no keys.\n"
    for field in fields(config):
        usual = type(field.default_factory()) if field.default_factory is not MISSING else None
        for name, choice in field.metadata.get("choices", {}).items():
            noted = ", which is the usual one" if choice is usual else ""
            yield f'#### [{where}.{field.name}] name = "{name}"{noted}\n\n{(choice.__doc__ or "").splitlines()[0]}\n'
            yield from table(choice, f"{where}.{field.name}")


def default(field: Field) -> str:
    if field.default is not MISSING:
        return f"`{literal(field.default)}`"
    return "must be given" if field.default_factory is MISSING else f"`{literal(field.default_factory())}`"


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
