"""The training loop over any Task, and what it keeps: run state, averages, optimisers, checkpoints, rows."""

from filmgrain.training.config import Config
from filmgrain.training.keeper import NonFinite
from filmgrain.training.loop import train
from filmgrain.training.run import ResumeRefused, Run
from filmgrain.training.stop import Stopped
from filmgrain.training.task import Batch, Task

__all__ = ["Batch", "Config", "NonFinite", "ResumeRefused", "Run", "Stopped", "Task", "train"]
