"""A page of the documentation whose tables and pictures are regenerated, and whose prose is left alone."""

from collections.abc import Mapping

PAGE = "choosing_a_sampler.md"
END = "<!-- /oracle -->"


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The page with each part between its marks, <!-- oracle: NAME --> and <!-- /oracle -->."""
    for name, part in parts.items():
        before, mark, rest = text.partition(begin(name))
        _, end, after = rest.partition(END)
        if not end:
            raise ValueError(f'the page has no "{begin(name)}" with "{END}" below; write both where the part belongs')
        text = f"{before}{mark}\n\n{part.strip()}\n\n{end}{after}"
    return text


def begin(name: str) -> str:
    return f"<!-- oracle: {name} -->"


def blank(names: list[str]) -> str:
    """A page without prose."""
    sections = [f"## {name.capitalize()}\n\n{begin(name)}\n{END}\n" for name in names]
    return "\n".join(["# Samplers, measured\n", *sections])
