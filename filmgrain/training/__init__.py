"""The training loop over any Task, and what it keeps: run state, averages, optimisers, checkpoints, rows."""

from .config import Config
from .keeper import NonFinite
from .loop import train
from .run import ResumeRefused, Run
from .stop import Stopped
from .task import Batch, Task

__all__ = ["Batch", "Config", "NonFinite", "ResumeRefused", "Run", "Stopped", "Task", "train"]
