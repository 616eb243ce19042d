"""Others' checkpoints as our networks, one format a file: `read(path, *, frames, height, width) -> Imported`."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..model import Config


class Refused(Exception):
    """A file is not what it was taken for, or not safe to read: one line with the file, what was found and expected."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """All that a run needs of a foreign checkpoint."""

    network_config: Any  # Config of a module of networks/
    model_config: Config  # prediction and schedule
    model_state: dict[str, Tensor]  # float32, by parameter name of the network
    ema_state: dict[str, Tensor]  # the same of the averaged weights; equal to model_state where there are none
    step: int  # optimiser steps done; 0 if the checkpoint does not say
    shape: tuple[int, ...]  # of one x, (c, f, h, w)
