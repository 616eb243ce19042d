"""The page: whole by itself, bounded, and harmless whatever a run's files hold."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from filmgrain.files.encode import write_gif
from filmgrain.files.image import write_png
from filmgrain.watching import report
from filmgrain.watching.history import History
from filmgrain.watching.report import page

EVIL = "<script>alert(1)</script>\"'&"
VOID = {"meta", "img", "br", "line", "polyline", "circle"}


class Structure(HTMLParser):
    """Tags that are open, and what attributes refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.links, self.text = list[str](), list[str](), list[str](), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data")]

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def run(folder: Path, previews: int = 3) -> History:
    (folder / "checkpoints" / "step-00000100").mkdir(parents=True)
    (folder / "previews").mkdir()
    rows = [{"step": i, "loss": 1 / i, "gradient_norm": 1.0, "lr": 1e-3, "time": 1e9 + i} for i in range(1, 101)]
    rows += [{"step": 50, "validation/loss": 0.5, "validation/loss at t=0.1": 0.2, "time": 1e9}]
    rows += [{"step": 70, "event": "skipped", "text": f"batch: {EVIL}", "time": 1e9}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.toml").write_text(f"[train]\nsteps = 100\n[data]\nname = '''{EVIL}'''\n")
    (folder / "quarantine.jsonl").write_text(json.dumps({"path": EVIL, "reason": "is empty"}) + "\n")
    number = {"value": 3.14159, "low": 3.0, "high": 3.5, "halves": [3.1, 3.2]}
    parts = {"numbers": {f"fd{EVIL}": number}, "protocol": {"samples": 5000}}
    (folder / "evaluation.json").write_text(json.dumps(parts))
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    for i in range(previews):
        write_png(folder / "previews" / f"step-{i:08d}.png", noise[0])
        write_gif(folder / "previews" / f"step-{i:08d}.gif", noise, 8)
    return History(folder)


@pytest.fixture
def made(tmp_path: Path) -> Structure:
    return Structure(page(run(tmp_path / "run"), findings=[f"note: {EVIL}"], version="1.2"))


def test_it_says_what_the_run_was(made):
    assert made.open == []
    for words in ("step", "100 of 100", "finished", "Held-out loss by noise level", "3.142 (95 %: 3 to 3.5)"):
        assert words in made.text
    assert "1 skipped" in made.text and "1 files were refused" in made.text and "steps = 100" in made.text
    assert made.tags.count("img") == 4 and made.tags.count("svg") >= 4


def test_it_refers_to_nothing_outside_and_runs_nothing(made):
    assert made.links and all(link.startswith("data:image/") for link in made.links)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(made.tags)
    assert "default-src 'none'" in report.POLICY and "meta" in made.tags
    assert made.text.count(EVIL) >= 5  # as text, wherever a file said so


def test_no_style_or_svg_fetches(tmp_path):
    text = page(run(tmp_path / "run"))
    assert not re.search(r"url\(|@import|https?://|<!ENTITY", text)


def test_previews_are_spread_over_the_run_and_few(tmp_path):
    made = Structure(page(run(tmp_path / "run", previews=20)))
    assert made.tags.count("img") == report.PREVIEWS + 1
    assert "step 0" in made.text and "step 19, moving" in made.text


def test_large_pictures_are_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "PICTURE", 20_000)
    history = run(tmp_path / "run", previews=1)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    write_png(history.folder / "previews" / "step-00000009.png", noise)
    assert (history.folder / "previews" / "step-00000009.png").stat().st_size > 10 * report.PICTURE
    made = Structure(page(history))
    assert all(len(link) < 1.4 * report.PICTURE for link in made.links) and any("jpeg" in link for link in made.links)


def test_a_preview_that_is_no_picture_is_named(tmp_path):
    history = run(tmp_path / "run", previews=1)
    (history.folder / "previews" / "step-00000007.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"no" * 10)
    (history.folder / "previews" / "step-00000008.png").write_text("<svg onload=alert(1)>")
    made = Structure(page(history))
    assert "step-00000008.png is no picture" in made.text


@pytest.mark.parametrize("text", ["{", "[]", '{"numbers": 3}', '{"numbers": {"a": {}}, "protocol": {}}', "[" * 100_000])
def test_an_evaluation_that_is_none_is_said_to_be(tmp_path, text):
    history = run(tmp_path / "run")
    (history.folder / "evaluation.json").write_text(text)
    assert "evaluation.json cannot be read" in page(history)


def test_a_run_without_figures_has_a_page(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    made = Structure(page(History(tmp_path / "run")))
    assert made.open == [] and "no row yet" in made.text and "svg" not in made.tags


def test_what_training_said_of_its_data_is_told(tmp_path):
    history = run(tmp_path / "run")
    (history.folder / "data.txt").write_text("train: 12 windows of 3 clips\n<b>\n")
    made = Structure(page(history))
    assert "train: 12 windows of 3 clips" in made.text and "<b>" in made.text
