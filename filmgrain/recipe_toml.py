"""Frozen dataclasses to TOML and back: types checked, unknown keys refused, every field written with its comment.

A field with the metadata {"choices": {name: class}} is one of these classes: the string "cosine", or a table with the
key `name` and the fields of that class.
"""

import inspect
import math
import re
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import tomli_w

from .rooms import nearest

Table = dict[str, Any]


class RecipeError(ValueError):
    """A recipe that cannot be used: one line that says where, what was given and what was expected."""


@cache
def comments(cls: Any) -> dict[str, str]:
    """The comment behind each field of a dataclass: its meaning and unit. Empty where the source is not at hand."""
    said: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        with suppress(OSError, TypeError):  # of a built-in one
            said |= re.findall(r"^    (\w+): .*?  # (.*)$", inspect.getsource(each), re.MULTILINE)
    return said


def read(cls: type, table: Table, where: str) -> Any:
    """An instance of the dataclass from its table; `where` is the name of the table. Raises `RecipeError`."""
    known = {field.name: field for field in fields(cls)}
    for key in table:
        if key not in known:
            raise RecipeError(f'[{where}] has no "{key}"{nearest(key, list(known))}')
    hints, said, values = get_type_hints(cls), comments(cls), {}
    for name, field in known.items():
        if name in table:
            values[name] = _field(field, hints[name], table[name], f"{where}.{name}", said.get(name, ""))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"{where}.{name} is missing; give it a value ({said.get(name, name)})")
    try:
        return cls(**values)
    except ValueError as error:
        message = str(error)
        raise RecipeError(message if message.startswith(f"{where}.") else f"[{where}] {message}") from None


def write(config: Any, where: str, name: str = "") -> list[str]:
    """The lines of a table and of the tables inside it."""
    lines, inner = [f"[{where}]"], []
    if name:
        lines.append(f"name = {literal(name)}")
    for field in fields(config):
        value, comment = getattr(config, field.name), comments(config.__class__).get(field.name)
        if "choices" in field.metadata:
            chosen = next(name for name, cls in field.metadata["choices"].items() if cls is type(value))
            inner += ["", *write(value, f"{where}.{field.name}", chosen)]
        else:
            lines.append(f"{field.name} = {literal(value)}" + (f"  # {comment}" if comment else ""))
    return lines + inner


def literal(value: Any) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key(name)} = {literal(inner)}' for name, inner in value.items())}}}"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


def key(name: str) -> str:
    """A key as TOML, in quotes where it needs them."""
    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")


def _field(field: Field, hint: Any, given: Any, where: str, comment: str) -> Any:
    if "choices" in field.metadata:
        return _choice(field.metadata["choices"], given, where)
    try:
        return _value(given, hint)
    except (TypeError, OverflowError):
        tail = f" ({comment})" if comment else ""
        raise RecipeError(f"{where}={_shown(given)} is {_kind(given)}; expected {_expected(hint)}{tail}") from None


def _choice(choices: dict[str, type], given: Any, where: str) -> Any:
    table = {"name": given} if isinstance(given, str) else given
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise RecipeError(f"{where}={_shown(given)} has no name; use one of {', '.join(choices)}")
    if table["name"] not in choices:
        raise RecipeError(f'{where}="{table["name"]}" is unknown{nearest(table["name"], list(choices))}')
    return read(choices[table["name"]], {key: value for key, value in table.items() if key != "name"}, where)


def _value(given: Any, hint: Any) -> Any:
    """`given`, as TOML reads it, in the annotated type; raises TypeError."""
    args = get_args(hint)
    if hint is float and type(given) in (int, float) and math.isfinite(given):
        return float(given)
    if type(given) is hint and hint is not float:
        return given
    if isinstance(hint, UnionType):
        for inner in sorted(args, key=lambda inner: inner is not type(given)):  # its own type first
            with suppress(TypeError):
                return _value(given, inner)
    if get_origin(hint) is tuple and isinstance(given, list):
        inner = args[:1] * len(given) if args[-1] is Ellipsis else args
        if len(inner) == len(given):
            return tuple(map(_value, given, inner))
    if get_origin(hint) is dict and isinstance(given, dict):
        return {key: _value(value, args[1]) for key, value in given.items()}
    raise TypeError


def _kind(given: Any) -> str:
    inside = given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
    if any(isinstance(value, float) and not math.isfinite(value) for value in inside):
        return "not finite"
    name = "table" if isinstance(given, dict) else type(given).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _expected(hint: Any) -> str:
    args = get_args(hint)
    if isinstance(hint, UnionType):
        return " or ".join(map(_expected, args))
    if get_origin(hint) is tuple:
        return f"a list of {'' if args[-1] is Ellipsis else f'{len(args)} '}{args[0].__name__}"
    if get_origin(hint) is dict:
        return f"a table of {_expected(args[1])}"
    return hint.__name__


def _shown(given: Any) -> str:
    text = literal(given)
    return text if len(text) <= 60 else f"{text[:57]}..."
