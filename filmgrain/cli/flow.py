"""The way of z through a network: its parts in the order in which they run, with output shapes and parameters."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from ..model import DiffusionModel
    from ..recipe import Recipe


class Row(NamedTuple):
    name: str
    kind: str  # of module
    shape: tuple[int, ...]  # of its output
    parameters: int


def flow(recipe: "Recipe") -> list[Row]:
    """The top-level parts of the recipe's network, for a batch of one; on the meta device, without weights."""
    import torch

    rows: list[Row] = []
    model = blueprint(recipe)

    def note(name: str, module: "nn.Module", _: object, output: object) -> None:
        rows.append(Row(name, type(module).__name__, tuple(getattr(output, "shape", ())), count(module)))

    for name, module in _parts(model.network):
        module.register_forward_hook(partial(note, name))
    with torch.device("meta"), torch.no_grad():
        output = model.raw(torch.zeros(1, *model.shape), torch.zeros(1), model.null(1))
    return [*rows, Row("F", "the network's output", tuple(output.shape), count(model))]


def blueprint(recipe: "Recipe") -> "DiffusionModel":
    """The model without its weights."""
    import torch

    from ..runs import build

    with torch.device("meta"):
        return build(recipe).eval()


def count(module: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _parts(network: "nn.Module") -> Iterator[tuple[str, "nn.Module"]]:
    """Its children; of a list of modules, each item."""
    from torch import nn

    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{index}", item) for index, item in enumerate(child))
        else:
            yield name, child
