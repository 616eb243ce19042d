"""Writes the flags on each page of docs/commands/ from the command itself: python docs/make_commands.py

What stands above the mark is written by hand. A test holds the pages against what this writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from filmgrain.cli import app

PAGES = Path(__file__).parent / "commands"
PIPE = r"\|"
MARK = "<!-- Below this line the page is written by docs/make_commands.py. -->\n"


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each command and its name, such as "data shard"."""
    group = group or typer.main.get_command(app)
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def file_of(name: str) -> Path:
    return PAGES / f"{name.replace(' ', '_')}.md"


def page(name: str, command: Any) -> str:
    """The page as it should be: what was written by hand, and the table."""
    rows = [row(parameter) for parameter in command.params]
    table = "\n".join(["## Arguments and flags", "", "| | default | meaning |", "|---|---|---|", *rows])
    return file_of(name).read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + table + "\n"


def row(parameter: Any) -> str:
    """What is typed, its default and its meaning."""
    kind = getattr(parameter.type_descriptor.annotation, "__name__", "")
    value = parameter.metavar or {"int": "N", "float": "X", "Path": "PATH"}.get(kind, "NAME")
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    typed = (
        f"{flags} {'' if parameter.is_flag else value}" if flags.startswith("-") else parameter.metavar or flags.upper()
    )
    meaning, _, said = (parameter.help or "").partition("  [default: ")
    cells = [f"`{typed.strip()}`", said.removesuffix("]") or default(parameter), meaning]
    return f"| {' | '.join(cell.replace('|', PIPE).replace('<', '&lt;') for cell in cells)} |".replace("|  |", "| |")


def default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required or isinstance(parameter.show_default, str):
        return "must be given" if parameter.required else parameter.show_default
    return "" if value is None or value is False or value in ("", ()) or callable(value) else f"`{value}`"


if __name__ == "__main__":
    for name, command in commands():
        file_of(name).write_text(page(name, command), encoding="utf-8")
