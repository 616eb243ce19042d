"""What samples are asked to show: a class, a caption or both, and a row of samples for each."""

import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import say
from .errors import Usage, usage

if TYPE_CHECKING:
    from ..recipe import Recipe

LONGEST = 48  # characters of a prompt in the name of a file

Wish = dict[str, str]  # "label" and "prompt", or one of them


def wishes(recipe: "Recipe", labels: Sequence[str], prompts: Sequence[str]) -> list[Wish]:
    """Every prompt with every label; none where nothing is asked for.

    Raises Usage where the run was trained without them. What of a prompt is not read is said, a line each.
    """
    known = {"label": _labels(recipe, labels), "prompt": list(prompts)}
    heard(recipe, prompts)
    asked = {key: values for key, values in known.items() if values}
    return [dict(zip(asked, values, strict=True)) for values in product(*asked.values())] if asked else []


def heard(recipe: "Recipe", prompts: Iterable[str]) -> None:
    """Says what the run cannot read of these prompts. Raises Usage if it was trained without captions."""
    prompts = list(prompts)
    if not prompts:
        return
    readers = [config for name, config in recipe.conditions.items() if _key(name) == "caption"]
    if not readers:
        raise Usage(f'"{prompts[0]}": the run was trained without captions; leave the prompt out')
    with usage():
        remarks = [remark for config in readers for remark in getattr(config, "remarks", lambda _: [])(prompts)]
    say(*(f"warning: {remark}" for remark in remarks))


def given(recipe: "Recipe", wishes: Sequence[Wish], each: int) -> dict[str, list[Any]]:
    """The values of each condition, `each` samples a wish, as `generate` takes them."""
    values: dict[str, list[Any]] = {}
    for wish in wishes:
        if "label" in wish:
            values.setdefault("label", []).extend([recipe.conditions["label"].label_of(wish["label"])] * each)
        if "prompt" in wish:
            values.setdefault("caption", []).extend([wish["prompt"]] * each)
    return values


def stated(recipe: "Recipe", settings: Iterable[str]) -> dict[str, list[Any]]:
    """What --given says of all samples, by the key of its condition: one value for all. Raises Usage."""
    takes = {name: config for name, config in recipe.conditions.items() if hasattr(config, "value_of")}
    values: dict[str, list[Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in takes:
            there = f"it takes {', '.join(takes)}" if takes else "leave --given out"
            raise Usage(f"--given {setting}: the run was not trained with {name} to be given; {there}")
        if not equals:
            raise Usage(f"--given {setting} gives no value; write {name}=VALUE")
        with usage():
            values[_key(name)] = [takes[name].value_of(text)]
    return values


def read_prompts(path: Path, flag: str = "--prompts-file") -> list[str]:
    """A prompt a line; empty lines are skipped. Raises Usage, in which it is called by the flag that named it."""
    try:
        prompts = [" ".join(line.split()) for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{flag} {path}: {getattr(error, 'strerror', None) or 'is no text in UTF-8'}") from None
    if not any(prompts):
        raise Usage(f"{flag} {path} holds no prompt; write one a line")
    return [prompt for prompt in prompts if prompt]


def slug(prompt: str) -> str:
    """A prompt as a part of a file's name: letters and digits of any script, and hyphens."""
    return re.sub(r"[\W_]+", "-", prompt.casefold())[:LONGEST].strip("-")


def _labels(recipe: "Recipe", asked: Sequence[str]) -> list[str]:
    """The names of classes given by name or number, or of all of them."""
    if not asked:
        return []
    if "label" not in recipe.conditions:
        raise Usage(f"--label {asked[0]}: the run was trained without labels; leave --label out")
    condition = recipe.conditions["label"]
    with usage():
        labels = range(len(condition.names)) if list(asked) == ["all"] else map(condition.label_of, asked)
        return [condition.names[label] for label in labels]


def _key(name: str) -> str:
    """Of a batch, what the condition of this name is given."""
    from ..rooms import find

    return find("conditioning", name).Conditioner.key
