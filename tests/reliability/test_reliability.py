"""The promises of docs/reliability.md, by a part of their trials; of A1, every moment of a save."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from suite import PROMISES

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the trials look into /proc")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of all trials, by promise: in a process of their own, which forks them."""
    command = [sys.executable, "suite.py", str(tmp_path_factory.mktemp("reliability")), "--quick"]
    single = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=Path(__file__).parent, env=single, capture_output=True, text=True, timeout=1800)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert rows, done.stderr
    return {row["promise"]: row for row in rows}


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_is_kept(found: dict[str, Any], promise: str) -> None:
    assert found[promise]["faults"] == []
    assert found[promise]["passes"] == found[promise]["trials"] > 0


def test_every_moment_of_a_save_is_tried(found: dict[str, Any]) -> None:
    """Of the steady one, and of its rotation."""
    kinds = found["A1"]["kinds"]
    assert kinds["save"][1] >= 35 and kinds["rotation"][1] >= 10


def test_each_broken_saver_is_caught(found: dict[str, Any]) -> None:
    assert [name.partition(":")[0] for name in found["A1 broken savers"]["kinds"]] == [
        "overwrite in place", "JSON pointer", "delete first"
    ]  # fmt: skip
