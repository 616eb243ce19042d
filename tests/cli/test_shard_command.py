"""From a folder to shards to a URL to a run, and on with it; and what is typed wrong."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from archives import png
from served import served

from filmgrain.files import remote


@pytest.fixture
def shelf(run, tmp_path):
    for n in range(24):
        path = tmp_path / "files" / ("cat", "dog")[n % 2] / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n, 16, 16))
    (tmp_path / "files" / "cat" / "bad.png").write_bytes(b"no picture")
    code, out, err = run("data", "shard", "files", "shelf", "--processes", "1")
    assert code == 0, err
    assert "24 pictures and 0 clips in 1 shards: shelf" in out and "refused cat/bad.png: is no picture" in out
    return tmp_path / "shelf"


def test_a_url_is_planned_trained_on_and_gone_on_with(run, shelf, cheap_pictures):
    with served(shelf) as (url, _):
        code, out, err = run("plan", url, *cheap_pictures)
        assert code == 0, err
        assert 'name="stream": 24 pictures in 1 shards' in out and "2 classes: cat, dog" in out
        code, out, err = run("train", url, "--run", "run", *cheap_pictures, "--set", "network.condition=8")
        assert code == 0, err
    code, out, err = run("train", str(shelf), "--resume", "--run", "run", "--steps", "2")  # the shards have moved
    assert code == 0, err
    rows = [json.loads(line) for line in Path("run/quarantine.jsonl").read_text().splitlines()]
    assert [row["path"] for row in rows] == ["cat/bad.png"]


def test_a_url_that_is_not_there_is_one_line(run, monkeypatch):
    monkeypatch.setattr(remote, "WAIT", 0.0)
    for command in ("plan", "train", "doctor"):
        code, _, err = run(command, "http://127.0.0.1:9/shelf")
        assert code == 74 and err.count("\n") == 1 and f"after {remote.TRIES} tries" in err


def test_what_is_typed_wrong_is_one_line(run, shelf):
    for words, says in (
        (["files", "new", "--size", "much"], "--size much is no size"),
        (["files", "new", "--size", "1KB"], "is too small"),
        (["files", "new", "--labels", "cls"], "auto, folders, metadata, none"),
    ):
        code, _, err = run("data", "shard", *words)
        assert code == 2 and err.count("\n") == 1 and says in err
    (shelf.parent / "files" / "cat" / "000.png").write_bytes(png(99, 16, 16))
    code, _, err = run("data", "shard", "files", "shelf")
    assert code == 2 and "shelf/shard-000000.tar was made of other files" in err
    code, _, err = run("data", "shard", "missing", "new")
    assert code == 65 and "missing is not there" in err
