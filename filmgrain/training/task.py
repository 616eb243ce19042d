"""Task: all that the trainer knows of what it trains."""

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

Batch = dict[
    str, Any
]  # "n" (b) int64 are the draw numbers (on the host), "source" a list of b names; the rest is the task's


class Task(Protocol):
    """What a run optimises. Randomness in `loss` is a function of batch["n"], never of hidden state.

    A file of `tasks/` has such a class, `Task(config, model, *, seed, held_out, sampling, batch)`: its `Config`, what
    is trained, the run's seed, held-out data or None, how previews are sampled, and how many items `validate` and
    `preview` may hold at once, which is no more than a step does.
    """

    @property
    def model(self) -> nn.Module:
        """What is trained, averaged and saved; the trainer moves it to its device."""

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        """{group: {name: parameter}}: one optimiser a group; names are those of `model.named_parameters()`."""

    def loss(self, batch: Batch, group: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss over the batch, and scalars to log (NaN: nothing to say in this batch). Under autocast."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data, the same whenever the weights are the same. Called with the averaged weights."""

    def preview(self, folder: Path, step: int) -> list[Path]:
        """Writes samples into `folder` and returns their paths. Called with the averaged weights."""
