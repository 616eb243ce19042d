"""The extra `reference` and the list that is installed without dependencies name the same versions."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_extra_is_in_the_list():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["reference"]
    listed = (ROOT / "tests/reference.txt").read_text().splitlines()
    assert set(extra) <= set(listed) and not any("torchvision" in line for line in listed if not line.startswith("#"))
