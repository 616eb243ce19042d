"""Many processes train as one does: two of gloo on this machine, one thread each (trials.py has what is done)."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TERM = 128 + signal.SIGTERM
MISSED = "Lost: rank 0 at step 8 waited in vain for rank 1 (last seen at step 8)"
EQUAL = 1e-6  # of float32 weights, averages and moments after 12 steps


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "trials.py", str(tmp_path_factory.mktemp("worlds"))]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = {row["trial"]: row for row in map(json.loads, done.stdout.splitlines())}
    print("\n".join(f"{name} {row['seconds']} s" for name, row in rows.items()))
    return rows


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "event" not in row]


def close(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], within: float = EQUAL) -> None:
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=within, abs=within)


def test_accumulation_is_a_larger_batch(found: dict[str, Any]) -> None:
    assert found["one"]["apart"] < EQUAL


@pytest.mark.parametrize("trial", ["copies", "copies_accumulated", "shards", "four"])
def test_two_processes_are_one(found: dict[str, Any], trial: str) -> None:
    """Weights, averages and moments; copies and shards; accumulated too; and four processes, some without a row."""
    for result in (found[trial], found[trial].get("sharded")):
        if isinstance(result, dict):
            assert set(result["codes"]) == {0}, result["said"]
            assert result["apart"] < EQUAL


@pytest.mark.parametrize("trial", ["copies", "shards"])
def test_the_rows_are_those_of_one(found: dict[str, Any], trial: str) -> None:
    """The means of figures, also of those that one process alone has; validation; and every row once."""
    close(figures(found[trial]["rows"]), figures(found["one"]["rows"]))
    assert any("first" in row for row in found["one"]["rows"])


def test_each_process_takes_its_part(found: dict[str, Any]) -> None:
    first, second = (result["drawn"] for result in found["copies"]["results"])
    assert first == [n for n in range(96) if n % 8 < 4]
    assert second == [n for n in range(96) if n % 8 >= 4]


def test_one_process_alone_draws_previews(found: dict[str, Any]) -> None:
    for trial in ("copies", "shards"):
        assert [result["previewed"] for result in found[trial]["results"]] == [[7, 12], []]


def test_shards_are_held_and_saved_in_parts(found: dict[str, Any]) -> None:
    """Until the end, when the whole is exported."""
    held = [result["held"] for result in found["shards"]["results"]]
    whole = found["copies"]["results"][0]["held"]
    assert sum(held) == whole + 1  # the scalar is in both
    assert max(held) < 0.6 * whole
    assert found["shards"]["checkpoints"] == ["step-00000000", "step-00000005", "step-00000010", "step-00000012"]
    assert found["shards"]["sharded"] == ["step-00000000", "step-00000005", "step-00000010"]


def test_the_number_of_processes_may_change(found: dict[str, Any]) -> None:
    """The same samples in the same order, and the same weights."""
    changing = found["another_number"]
    assert changing["apart"] < EQUAL
    assert changing["draws"] == list(range(3 * 8, 11 * 8))
    seen = [[row for row in rows if "validation/loss" in row][-1] for rows in (changing["rows"], found["one"]["rows"])]
    close(seen[:1], seen[1:])


def test_parts_go_on_in_any_world(found: dict[str, Any]) -> None:
    for size in (1, 2, 4):
        assert found["from_parts"][f"parts-{size}"] < EQUAL


def test_a_killed_process_is_named_and_the_run_ends_equal(found: dict[str, Any]) -> None:
    killed = found["killed"]
    for kind in ("copies", "shards"):
        first, second = killed["first"][kind]["codes"]
        assert (first, second) == (70, -signal.SIGKILL)
        assert MISSED in killed["first"][kind]["said"][0]
        assert killed["again"][kind]["codes"] == [0, 0], killed["again"][kind]["said"]
        assert killed["apart"][kind] == 0
    assert figures(killed["rows"][0]) == figures(killed["rows"][1])


def test_a_process_that_hangs_is_named(found: dict[str, Any]) -> None:
    assert found["hangs"]["codes"][0] == 70
    assert MISSED in found["hangs"]["said"][0]
    assert found["hangs_in_preview"]["codes"][1] == 70
    assert "rank 1 at preview of step 7 waited 1.5 s in vain for rank 0" in found["hangs_in_preview"]["said"][1]


@pytest.mark.parametrize("kind", ["copies", "shards"])
@pytest.mark.parametrize(("where", "step"), [("Told", 8), ("ToldInPreview", 7)])
def test_a_signal_to_one_stops_all(found: dict[str, Any], kind: str, where: str, step: int) -> None:
    told = found["told"][f"told-{kind}-{where}"]
    assert told["codes"] == [TERM, TERM]
    assert told["at"] == f"step-{step:08d}"
    assert told["again"] == [0, 0]
    assert told["apart"] == 0


def test_a_bad_sample_of_one_is_skipped_by_all(found: dict[str, Any]) -> None:
    bad = found["not_finite"]
    assert bad["codes"] == [[0, 0], [0, 0]]
    assert max(bad["apart"]) < EQUAL
    for events in bad["events"].values():
        assert [(event["step"], event["sources"]) for event in events] == [(4, [f"clip-{n}" for n in range(24, 32)])]


def test_only_the_first_process_writes(found: dict[str, Any]) -> None:
    assert found["only_the_first_writes"]["codes"] == [0, 0], found["only_the_first_writes"]["said"]
    assert found["only_the_first_writes"]["apart"] == 0


@pytest.mark.parametrize("kind", ["copies", "shards"])
def test_a_full_disk_costs_a_checkpoint_and_not_the_run(found: dict[str, Any], kind: str) -> None:
    full = found["full_disk"][kind]
    assert full["codes"] == [0, 0], full["said"]
    assert len(full["events"]) == 1
    assert "No space left on device" in full["events"][0]
    assert full["at"] == ["step-00000000", "step-00000010", "step-00000012"]
    assert full["apart"] == 0


def test_a_run_that_is_in_use_is_refused_by_all(found: dict[str, Any]) -> None:
    locked = found["locked"]
    assert locked["codes"] == [70, 70]
    assert "Locked: " in locked["said"][0]
    assert "Elsewhere: the first process failed: Locked: " in locked["said"][1]
