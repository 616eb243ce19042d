"""watch, report and doctor as they are typed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FREE_OF_TORCH = """
import sys
from filmgrain.cli import main
try: main({arguments})
except SystemExit as left: assert left.code == 0, left.code
assert "torch" not in sys.modules
"""


def test_watch_shows_a_run_once(run, trained):
    code, out, _ = run("watch", str(trained), "--once")
    assert code == 0
    assert "step 2 of 2   finished" in out and "held out t=0.5" in out and "last preview" in out and "GB" in out


def test_without_a_terminal_the_page_is_printed_once(run, trained):
    assert run("watch", str(trained)).out == run("watch", str(trained), "--once").out


def test_watch_sees_a_run_of_another_process_begin_and_end(tiny, tmp_path):
    """The page, on a terminal of our own, is drawn until the run has finished."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("")
    code = f"""
from rich.console import Console
from filmgrain.cli import console, watch
watch.console = Console(force_terminal=True, width=150, color_system=None)
from pathlib import Path
watch.watch(Path({str(folder)!r}), once=False, every=0.1)
"""
    watcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        train = f"import sys; from filmgrain.cli import main; main(['train', {tiny!r}, '--run', {str(folder)!r}])"
        (folder / "lock").write_text("")  # a folder with other files would be refused
        assert subprocess.run([sys.executable, "-c", train], capture_output=True).returncode == 0
        out, _ = watcher.communicate(timeout=300)
    finally:
        watcher.kill()
    assert watcher.returncode == 0
    assert "no figures yet" in out and "step 2 of 2   finished" in out


@pytest.mark.parametrize("command", ["watch", "report"])
def test_a_folder_that_is_no_run_is_refused_in_one_line(run, tmp_path, command):
    code, out, err = run(command, str(tmp_path))
    assert (code, out) == (65, "") and err.startswith("filmgrain: ") and err.count("\n") == 1
    assert "is not a run" in err


def test_report_is_written_into_the_run_or_elsewhere(run, trained, tmp_path):
    code, out, _ = run("report", str(trained), "--out", str(tmp_path / "new" / "page.html"))
    assert (code, out) == (0, f"{tmp_path / 'new' / 'page.html'}\n")
    text = (tmp_path / "new" / "page.html").read_text()
    assert "moving shapes: " in text and "<svg" in text and "data:image/png" in text and "data:image/gif" in text
    assert "http://" not in text and "https://" not in text


@pytest.mark.parametrize("arguments", [["watch", "RUN", "--once"], ["report", "RUN", "--out", "page.html"]])
def test_to_look_at_a_run_costs_no_torch(trained, arguments):
    code = FREE_OF_TORCH.format(arguments=[str(trained) if word == "RUN" else word for word in arguments])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_doctor_of_a_folder(run, clips):
    code, out, _ = run("doctor", clips)
    assert code == 1
    assert "problem: " in out and "1 of 7 files are refused, such as [broken].gif" in out
    assert out.splitlines()[-1].endswith("notes") and "checks: " in out.splitlines()[-1]


def test_doctor_of_a_sound_recipe_leaves_with_0(run, tiny):
    settings = ["train.warmup=1", "train.ema=0.5", "train.steps=20"]
    code, out, _ = run("doctor", tiny, *(word for setting in settings for word in ("--set", setting)))
    assert code == 0, out
    assert "problem: " not in out and ": 0 problems" in out


def test_doctor_of_a_run(run, trained):
    code, out, _ = run("doctor", str(trained))
    assert code == 1
    assert "train.warmup=500" in out  # of a run of two steps
    assert out.count("problem: ") == 1


def test_doctor_tells_of_a_damaged_checkpoint(run, trained, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    (copy / "checkpoints" / "step-00000002" / "ema.safetensors").write_bytes(b"")
    code, out, _ = run("doctor", str(copy), "--no-data")
    assert code == 1 and "ema.safetensors has 0 bytes" in out


def test_doctor_where_the_data_are_not_there(run):
    code, out, _ = run("doctor", "fashion_mnist")
    assert code == 0, out
    assert "note: data: not looked at: " in out


@pytest.mark.parametrize(("target", "expected"), [("nothing-there", 2), (".", 65)])
def test_doctor_of_what_is_nothing_is_one_line(run, target, expected):
    code, out, err = run("doctor", target)
    assert (code, out) == (expected, "") and err.count("\n") == 1


def test_every_finding_of_a_run_is_one_line(run, trained, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    with (copy / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 2, "event": "failed", "text": "a\nb\x1b[2J"}) + "\n")
    lines = run("doctor", str(copy), "--no-data").out.splitlines()
    assert all(line.startswith(("problem: ", "note: ")) for line in lines[:-1])
    assert any("failed" in line and "a b?[2J" in line for line in lines)
    assert Path(copy).is_dir()
