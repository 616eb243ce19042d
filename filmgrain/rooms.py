"""The folder is the registry: a file's name is the name that users type. One's own module goes by dotted path.

What the user types, or a program says, may name any module. What a file says may not: recipes and runs are passed on,
and to import a module is to run it. Inside of `foreign`, a dotted path is a module that is imported already, or one of
the packages that FILMGRAIN_MODULES lists.
"""

import difflib
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

MODULES = "FILMGRAIN_MODULES"  # environment variable: names of packages or modules, with commas between

_foreign: ContextVar[bool] = ContextVar("foreign", default=False)


def names(room: str) -> list[str]:
    """The names of a room, such as names("samplers") -> ["ancestral", "ddim", ...]."""
    package = importlib.import_module(f"{__package__}.{room}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(room: str, name: str) -> ModuleType:
    """The module of a name: find("samplers", "ddim"), or find("networks", "mylab.networks.mine").

    Raises ValueError, naming the nearest, where there is none.
    """
    if "." in name:
        return _own(room, name)
    if name not in names(room):
        raise ValueError(f'"{name}" is not one of {room}{nearest(name, names(room))}')
    return importlib.import_module(f"{__package__}.{room}.{name}")


def _own(room: str, name: str) -> ModuleType:
    """A module outside of the package, by its dotted path."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f'"{name}" of {room} is neither a name nor the dotted path of a module')
    if _foreign.get() and name not in sys.modules and not _allowed(name):
        raise ValueError(
            f'"{name}" of {room} is code from elsewhere, which a file may name and only you may let run; '
            f"if it is yours, set {MODULES}={name.partition('.')[0]}"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f'"{name}" of {room} cannot be imported ({error}); is it on the Python path?') from None


def _allowed(name: str) -> bool:
    listed = [entry.strip() for entry in os.environ.get(MODULES, "").split(",")]
    return any(entry and f"{name}.".startswith(f"{entry}.") for entry in listed)


@contextmanager
def foreign() -> Iterator[None]:
    """Inside, names are those that a file says, which may be anybody's."""
    token = _foreign.set(True)
    try:
        yield
    finally:
        _foreign.reset(token)


def name_of(config: object) -> str:
    """The name by which the module of a Config is found again."""
    module = type(config).__module__
    return module.rsplit(".", 1)[1] if module.startswith(f"{__package__}.") else module


def nearest(name: str, known: list[str]) -> str:
    """The tail of an error about an unknown name: the nearest known one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return (f'; did you mean "{close[0]}"?' if close else ";") + f" known: {', '.join(known)}"
