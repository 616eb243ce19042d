"""Arguments as the peers call them, as settings of ours."""

import reprlib
from collections.abc import Mapping
from typing import Any

from ..rooms import nearest


def translated(
    call: str,
    given: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
    only: Mapping[str, tuple[Any, str]] | None = None,
) -> dict[str, Any]:
    """What `given` says, by our names. Raises ValueError for what they have and we have not, TypeError for the rest.

    names: of each argument that we have too, ours; None is its default. only: of each that we have not, the one value
    that it may have all the same, and what to do instead of asking for another.
    """
    names, only = names or {}, only or {}
    for name, value in given.items():
        if name not in names and name not in only:
            raise TypeError(f"{call} has no argument {name}{nearest(name, [*names, *only])}")
        if name in only and value is not only[name][0] and value != only[name][0]:
            shown = " ".join(reprlib.repr(value).split())
            raise ValueError(f"{call}: {name}={shown} is not to be had; {only[name][1]}")
    return {names[name]: value for name, value in given.items() if name in names and value is not None}
