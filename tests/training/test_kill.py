"""A run killed at any moment and resumed ends with the bytes of an uninterrupted one (reliability: A1)."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def trials(*arguments: object) -> list[dict[str, Any]]:
    command = [sys.executable, "kill_trials.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ends_well(trial: dict[str, Any]) -> bool:
    return bool(trial["ended"] == 0 and trial["same"] and trial["rows"] and not trial["left"])


def test_killed_at_every_point_of_a_save(tmp_path: Path) -> None:
    """Of the first save, of a steady one and its rotation, and of the last."""
    found = trials(tmp_path, "points")
    assert all(trial["died"] == signal.SIGKILL for trial in found)
    assert not [trial for trial in found if not ends_well(trial)]
    passes = Counter(trial["point"] for trial in found)
    assert passes["save.renamed"] == 3
    assert passes["remove.renamed"] == 2
    assert len(found) >= 40


def test_killed_at_random_times(tmp_path: Path) -> None:
    found = trials(tmp_path, "times", 15)
    assert not [trial for trial in found if not ends_well(trial)]
    assert sum(died == signal.SIGALRM for trial in found for died in trial["died"]) >= 15
