"""Others' checkpoints as our networks and ours as theirs, one format a file.

An importer is `read(path, ...) -> Imported`, with `size` and `frames` among its options where no checkpoint says them;
an exporter is `write(model, folder, ...)`, which returns lines to print.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..model import Config


class Refused(Exception):
    """A file is not what it was taken for, or not safe to read: one line with the file, what was found and expected."""


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Inside, what is refused is refused of this file, whose name the line begins with."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{path} {error}") from None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """All that a run needs of a foreign checkpoint."""

    network_config: Any  # Config of a module of networks/
    model_config: Config  # prediction and schedule
    model_state: dict[str, Tensor]  # float32, by name of the network's parameters and buffers
    ema_state: dict[str, Tensor]  # the averaged parameters; equal to those of model_state where there are none
    step: int  # optimiser steps done; 0 if the checkpoint does not say
    shape: tuple[int, ...]  # of one x, (c, f, h, w) or (c, h, w)
    sampling: dict[str, Any] = field(default_factory=dict)  # what it says of sampling, by key of the recipe's [sample]
