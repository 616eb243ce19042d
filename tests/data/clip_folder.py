"""Datasets of clips as the tests want them, and where their square is."""

import random
from pathlib import Path
from typing import Any

import numpy as np
from moving_square import DARK

from filmgrain.data.video_folder import Config, Dataset


def config(root: Path, **changes: Any) -> Config:
    return Config(
        **{"folder": str(root), "frames": 5, "height": 24, "width": 32, "held_out": 0.0, "processes": 1} | changes
    )


def items(dataset: Dataset, count: int = 40) -> list[np.ndarray]:
    return [dataset.item(n % len(dataset), random.Random(n))["x"] for n in range(count)]


def edges(x: np.ndarray) -> np.ndarray:
    """Where the square's left edge is in each frame of (c f h w), to a fraction of a pixel."""
    bright = np.clip((x[0].astype(float) - DARK) / (255 - DARK), 0, 1)[:, 4:12].mean(1)  # (f, w)
    return (bright * np.arange(x.shape[-1])).sum(1) / bright.sum(1) - 3.5
