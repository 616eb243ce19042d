"""A task of a millisecond a step with all that processes can get wrong between them: rows that do not divide, a scalar,
a parameter outside of what is sharded, a frozen one, buffers, and samples that only one process sees.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from filmgrain.training import Batch


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + nn.functional.silu(self.linear(h))


class Net(nn.Module):
    """7 rows for 2 processes are 4 and 3, and 1 row is 1 and 0."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        self.first = nn.Linear(12, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.last = nn.Linear(width, 1)
        self.scale = nn.Parameter(torch.tensor(0.9))
        self.register_buffer("shift", torch.tensor([0.1]))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = block(h)
        return self.last(h) * self.scale + self.shift


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Net()
        self.outside = nn.Parameter(torch.zeros(3))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def levels(self) -> list[list[nn.Module]]:
        return [[block] for block in self.net.blocks]


class Regression:
    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = Model()
        self.trunk = self.model.net
        self.drawn: list[int] = []
        self.previewed: list[int] = []

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        return {"net": {name: p for name, p in self.model.named_parameters() if p.requires_grad}}

    def loss(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]:
        self.drawn += batch["n"].tolist()
        error = self.model.net(batch["x"]) + self.model.outside - batch["y"]
        first = error[batch["n"] % 8 == 0].square().mean()  # of a draw that one process alone sees: NaN in the others
        return error.square().mean(), {"first": first.detach()}

    def validate(self) -> dict[str, float]:
        x = torch.linspace(-1, 1, 24).reshape(2, 12)
        return {"loss": float((self.model.net(x) + self.model.outside).square().mean())}

    def preview(self, folder: Path, step: int) -> list[Path]:
        self.previewed.append(step)
        path = folder / f"{step}.txt"
        path.write_text(f"{self.validate()}")
        return [path]


def part_of(batch: int, rank: int, size: int, bad: frozenset[int] = frozenset()) -> Any:
    """The stream of one process's parts of each batch; draws in `bad` are NaN."""

    def sample(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(12, generator=torch.Generator().manual_seed(n))
        return (x * torch.nan if n in bad else x), x[:3] * x[3:6]

    def batches(start: int) -> Iterator[Batch]:
        while True:
            first = start + rank * (batch // size)
            numbers = range(first, first + batch // size)
            x, y = zip(*map(sample, numbers), strict=True)
            names = [f"clip-{n}" for n in numbers]
            yield {"n": torch.tensor(numbers), "x": torch.stack(x), "y": torch.stack(y), "source": names}
            start += batch

    return batches
