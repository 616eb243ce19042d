"""The folder is the registry: a file's name is the name that users type. One's own module goes by dotted path."""

import difflib
import importlib
import pkgutil
from types import ModuleType


def names(room: str) -> list[str]:
    """The names of a room, such as names("samplers") -> ["ancestral", "ddim", ...]."""
    package = importlib.import_module(f"{__package__}.{room}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(room: str, name: str) -> ModuleType:
    """The module of a name: find("samplers", "ddim"), or find("networks", "mylab.networks.mine").

    Raises ValueError, naming the nearest, where there is none.
    """
    if "." in name:
        try:
            return importlib.import_module(name)
        except (ModuleNotFoundError, TypeError) as error:  # TypeError: a relative name
            raise ValueError(f'"{name}" of {room} cannot be imported ({error}); is it on the Python path?') from None
    if name not in names(room):
        raise ValueError(f'"{name}" is not one of {room}{nearest(name, names(room))}')
    return importlib.import_module(f"{__package__}.{room}.{name}")


def name_of(config: object) -> str:
    """The name by which the module of a Config is found again."""
    module = type(config).__module__
    return module.rsplit(".", 1)[1] if module.startswith(f"{__package__}.") else module


def nearest(name: str, known: list[str]) -> str:
    """The tail of an error about an unknown name: the nearest known one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return (f'; did you mean "{close[0]}"?' if close else ";") + f" known: {', '.join(known)}"
