"""How large a model may become while it is built: a recipe of a few bytes can ask for more than any machine has."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor
from torch.nn.modules import module as nn_module


class TooLarge(ValueError):
    """The model would have more tensors, or more elements in them, than it may."""


class Bounds(NamedTuple):
    """Of parameters and buffers together."""

    tensors: int
    elements: int


ANY = Bounds(tensors=20_000, elements=10**12)  # of any model; large ones have some thousand tensors
BESIDES = Bounds(tensors=10_000, elements=10**8)  # what a model may have besides what is saved: frozen parts, tables
IMPOSSIBLE = ("overflow", "failed to unpack", "too large to convert", "must be tuple of ints")  # so torch says it


def of_saved(shapes: list[tuple[int, ...]]) -> Bounds:
    """What the model of saved tensors may come to."""
    return Bounds(len(shapes) + BESIDES.tensors, sum(map(math.prod, shapes)) + BESIDES.elements)


@contextmanager
def within(bounds: Bounds) -> Iterator[None]:
    """Inside, a module that registers a tensor too many, or one of a size that none can have, raises TooLarge."""
    tensors, elements = 0, 0

    def count(module: object, name: str, tensor: Tensor | None) -> None:
        nonlocal tensors, elements
        if isinstance(tensor, Tensor):
            tensors, elements = tensors + 1, elements + tensor.numel()
        if tensors > bounds.tensors or elements > bounds.elements:
            found = f"{tensors:,} tensors of {elements:,} elements, and more to come"
            raise TooLarge(f"the network has {found}; expected {bounds.tensors:,} of {bounds.elements:,} at most")

    hooks = [
        nn_module.register_module_parameter_registration_hook(count),
        nn_module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    except (RuntimeError, OverflowError, TypeError) as error:
        if not any(sign in str(error) for sign in IMPOSSIBLE):
            raise
        raise TooLarge("the network has sizes that no tensor can have") from None
    finally:
        for hook in hooks:
            hook.remove()
