"""A task of 10 ms a step with everything that a resume can get wrong: dropout, noise, BatchNorm, accumulation."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from filmgrain.training import Batch


class Toy:
    def __init__(self, seed: int = 0, dropout: float = 0.2) -> None:
        torch.manual_seed(seed)
        hidden = (nn.BatchNorm1d(24), nn.SiLU(), nn.Dropout(dropout), nn.Linear(24, 24), nn.SiLU())
        self.model = nn.Sequential(nn.Linear(12, 24), *hidden, nn.Linear(24, 3))
        self.previewed: list[int] = []

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        return {"network": dict(self.model.named_parameters())}

    def loss(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]:
        error = (self.model(batch["x"]).float() - batch["y"]).square().mean()
        return error, {"first": error.detach() * 2}

    def validate(self) -> dict[str, float]:
        x = torch.linspace(-1, 1, 24).reshape(2, 12)
        return {"loss": float(self.model(x).float().square().mean())}

    def preview(self, folder: Path, step: int) -> list[Path]:
        self.previewed.append(step)
        path = folder / f"{step}.txt"
        path.write_text("preview")
        return [path]


def batches_of(size: int, bad: frozenset[int] = frozenset()) -> Any:
    """The stream of batches; draws in `bad` are NaN."""

    def sample(n: int) -> tuple[Tensor, Tensor]:
        draw = torch.Generator().manual_seed(n)
        x = torch.randn(12, generator=draw)
        return (x * torch.nan if n in bad else x), x[:3] * x[3:6]

    def batches(start: int) -> Iterator[Batch]:
        while True:
            numbers = range(start, start + size)
            x, y = zip(*map(sample, numbers), strict=True)
            yield {
                "n": torch.tensor(numbers),
                "x": torch.stack(x),
                "y": torch.stack(y),
                "source": [f"clip-{n}" for n in numbers],
            }
            start += size

    return batches


def trace(run: Path) -> list[dict[str, Any]]:
    """The rows of figures, without speed and time."""
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {k: v for k, v in row.items() if k not in ("time", "steps_per_second", "memory_gb")}
        for row in rows
        if "event" not in row
    ]


def artefacts(run: Path) -> dict[str, bytes]:
    """Every file of the newest checkpoint."""
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    return {f"{newest.name}/{path.name}": path.read_bytes() for path in newest.iterdir()}
