"""The page of the terminal, as text."""

import io
import json
import time
from pathlib import Path

from rich.console import Console

from filmgrain.watching.history import History
from filmgrain.watching.screen import SPARKS, screen, spark

NOW = 1e9


def shown(history: History, now: float = NOW) -> str:
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(screen(history, now))
    return console.export_text()


def run(folder: Path, rows: list[dict]) -> History:
    (folder / "checkpoints" / "step-00000020").mkdir(parents=True)
    (folder / "recipe.toml").write_text("[train]\nsteps = 1000\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return History(folder)


def rows(count: int = 20) -> list[dict]:
    return [
        {"step": 20 * i, "loss": 1 / i, "lr": 1e-3, "steps_per_second": 5.0, "memory_gb": 1.25, "skipped": 1.0}
        | {"time": NOW - 4 * (count - i)}
        for i in range(1, count + 1)
    ]


def test_a_run_that_trains(tmp_path):
    told = [*rows(), {"step": 400, "validation/loss": 0.5, "validation/loss at t=0.1": 0.25, "time": NOW}]
    told += [{"step": 333, "event": "skipped", "text": "batch: [red]a.gif", "time": NOW}]
    history = run(tmp_path / "run", told)
    (history.folder / "previews").mkdir()
    (history.folder / "previews" / "step-00000200.gif").write_text("")
    text = shown(history)
    for words in ("step 333 of 1,000", "5.00 steps/s", "1.2 GB", "lr 0.001", "skipped 1", "last row 0:00:00 ago"):
        assert words in text
    assert "0:02:13 left" in text  # 667 steps at 5 a second
    assert "held out t=0.1" in text and "0.2500" in text
    assert "step 333  skipped: batch: [red]a.gif" in text  # as it is: no markup
    assert "step-00000200.gif (step 200)" in text and "step-00000020" in text


def test_of_a_run_that_says_nothing_it_is_told_how_to_go_on(tmp_path):
    history = run(tmp_path / "run", rows())
    text = shown(history, NOW + 3600)
    assert "no row for 1:00:00: stopped, or dead; to go on: filmgrain train --resume --run" in text


def test_a_run_that_has_finished(tmp_path):
    history = run(tmp_path / "run", rows())
    (history.folder / "checkpoints" / "step-00001000").mkdir()
    assert "step 1,000 of 1,000   finished" in shown(history, NOW + 3600)


def test_a_run_without_rows(tmp_path):
    text = shown(run(tmp_path / "run", []), time.time())
    assert "no figures yet" in text and "no losses yet" in text and "no row yet" in text


def test_a_spark_rises_and_falls_with_its_values():
    assert spark([1, 10, 100, 1000]) == SPARKS[0] + SPARKS[2] + SPARKS[5] + SPARKS[7]
    assert spark([-1.0, 1.0]) == SPARKS[0] + SPARKS[7] and spark([3.0, 3.0]) == SPARKS[0] * 2 and spark([]) == ""
    assert len(spark([float(i + 1) for i in range(1000)])) == 32
