"""Choices of a recipe that learn or remember: frozen in the recipe, a module in the model.

The frozen choice can be used as it is: it stands for the state before training, against which validation measures.
The module is what training changes, and what is averaged, saved and loaded.
"""

from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Stateful(Protocol):
    def build(self) -> nn.Module: ...


def built(choice: Any) -> Any:
    """The module of a choice that has one; others are used as they are."""
    return choice.build() if isinstance(choice, Stateful) else choice
