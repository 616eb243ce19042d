from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from samples import ANIMATIONS, STILLS, VIDEOS, disc, make_pictures, make_video


@pytest.fixture(scope="session")
def moving() -> np.ndarray:
    return disc()


@pytest.fixture(scope="session")
def sample(moving: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a name in the tables above, 10 frames at 25 a second; made once."""
    folder = tmp_path_factory.mktemp("samples")

    def made(name: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        if name in VIDEOS:
            return make_video(path, moving, *VIDEOS[name])
        if name in ANIMATIONS:
            return make_pictures(path, moving, ANIMATIONS[name])
        return make_pictures(path, moving[:1], STILLS[name])

    return made
