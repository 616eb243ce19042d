"""A run read from its files: rows as they come, state, speed, and what a damaged or hostile folder may hold."""

import json
import os
import time
from pathlib import Path

import pytest

from filmgrain.watching.history import History, NoRun, Tail, one_line, series, smoothed

HUNDRED = "[train]\nsteps = 100\n"


def line(**row: object) -> str:
    return json.dumps(row) + "\n"


def made(folder: Path, rows: list[dict], recipe: str = HUNDRED, checkpoints: tuple[int, ...] = ()) -> History:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe)
    (folder / "metrics.jsonl").write_text("".join(line(**row) for row in rows))
    for step in checkpoints:
        (folder / "checkpoints" / f"step-{step:08d}").mkdir()
    return History(folder)


def test_only_what_is_new_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_text(line(step=1) + '{"step": 2, "lo')
    assert tail.read() == [{"step": 1}]  # a row that is being written waits
    with path.open("a") as file:
        file.write('ss": 3}\n' + line(step=3))
    assert tail.read() == [{"step": 1}, {"step": 2, "loss": 3}, {"step": 3}]
    path.write_bytes(b"x" * 12 + path.read_bytes()[12:])  # what was read is not read again
    assert len(tail.read()) == 3


def test_a_resumed_run_is_read_anew(tmp_path):
    """It cuts the rows beyond its checkpoint by a new file."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(step=1) + line(step=2))
    tail = Tail(path)
    tail.read()
    (tmp_path / "new").write_text(line(step=1) + line(step=5) + line(step=6))
    os.replace(tmp_path / "new", path)
    assert [row["step"] for row in tail.read()] == [1, 5, 6]
    path.write_text(line(step=1))
    assert tail.read() == [{"step": 1}]


def test_rows_that_are_none_are_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    none = "[1]\nnull\n{}\n" + line(step="1") + "[" * 100_000 + "\n"
    path.write_text(none + '{"step": 1, "loss": NaN}\n' + line(step=2))
    assert [row["step"] for row in Tail(path).read()] == [1, 2]


def test_the_state_of_a_run(tmp_path):
    now = time.time()
    rows = [{"step": 10 * i, "loss": 1.0, "steps_per_second": 2.0, "time": now - 50 + 5 * i} for i in range(1, 6)]
    run = made(tmp_path / "run", rows, checkpoints=(40,))
    assert (run.step, run.steps, run.finished, run.speed, run.seconds_left) == (50, 100, False, 2.0, 25.0)
    assert run.silence(now) == pytest.approx(25, abs=0.1) and not run.quiet(now) and run.quiet(now + 60)
    (run.folder / "checkpoints" / "step-00000100").mkdir()
    assert run.finished and not run.quiet(now + 1e6)


def test_the_speed_counts_seconds_and_not_rows(tmp_path):
    """20 steps at 1 a second and 20 at 3 take 26.7 s."""
    rows = [{"step": 20, "steps_per_second": 1.0}, {"step": 40, "steps_per_second": 3.0}]
    assert made(tmp_path / "run", rows).speed == pytest.approx(40 / (20 + 20 / 3))


def test_what_a_folder_need_not_hold(tmp_path):
    """A run that was imported, or has just begun, has no figures; its recipe may be broken."""
    run = made(tmp_path / "run", [], recipe="no = [toml")
    assert (run.step, run.steps, run.speed, run.seconds_left, run.levels, run.events) == (0, 0, None, None, [], [])
    assert (run.previews, run.quarantined, run.finished, run.quiet()) == ({}, [], False, False)
    assert run.quiet(time.time() + 601)  # of a run that has begun, the first row may take long
    assert run.setting("train.lr", 0.5) == 0.5


@pytest.mark.parametrize("train", ["train = 3", "train.steps = 'many'", "train.steps = true", "train.steps = 1.5"])
def test_a_setting_of_another_type_is_not_taken(tmp_path, train):
    assert made(tmp_path / "run", [], recipe=train).steps == 0


@pytest.mark.parametrize("name", ["", "missing", "x" * 300, "nul\0"])
def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(NoRun, match="is not a run: it holds no"):
        History(tmp_path / name)


def test_previews_by_step(tmp_path):
    run = made(tmp_path / "run", [])
    for name in ("step-00000200.gif", "step-00000200.png", "step-00000090.png", "notes.txt", "7.txt"):
        (run.folder / "previews").mkdir(exist_ok=True)
        (run.folder / "previews" / name).write_text("")
    (run.folder / "previews" / "step-00000001").mkdir()
    names = {step: [path.name for path in paths] for step, paths in run.previews.items()}
    assert names == {7: ["7.txt"], 90: ["step-00000090.png"], 200: ["step-00000200.gif", "step-00000200.png"]}


def test_events_are_one_line_and_nothing_that_a_terminal_obeys(tmp_path):
    failed = {"step": 1, "event": "failed", "text": "a\nb\x1b[2J"}
    rows = [failed, {"step": 2, "event": "preview"}, {"step": 3, "event": 4}]
    events = made(tmp_path / "run", rows).events
    assert [(event.name, event.text) for event in events] == [("failed", "a b?[2J"), ("4", "")]
    assert one_line("a\r\n\tb") == "a b"


def test_series_and_their_mean():
    rows = [{"step": 1, "loss": 2.0}, {"step": 2}, {"step": 3, "loss": "x"}, {"step": 4, "loss": 3}]
    assert series(rows, "loss") == ([1, 4], [2.0, 3])
    assert smoothed([0.0] * 39 + [2.0])[-1] == 1.0
