"""The entry point: help without torch, the version, and what is said of errors."""

import errno
import importlib
import subprocess
import sys

import pytest

from filmgrain import __version__
from filmgrain.cli import errors


def test_help_needs_no_torch():
    """Of any command: it is there at once, where to import torch takes seconds."""
    code = """
import sys
import typer
from filmgrain.cli import app, main
commands = [[name, "--help"] for name in typer.main.get_command(app).commands]
assert len(commands) > 10
for arguments in [], ["--help"], ["--version"], *commands:
    try: main(arguments)
    except SystemExit as left: assert left.code == 0, arguments
    assert "torch" not in sys.modules and "numpy" not in sys.modules, arguments
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_itself_imports_no_torch():
    """Its names do, when they are first used; a script that imports both waits for torch alone."""
    code = "import sys, filmgrain; assert 'torch' not in sys.modules; filmgrain.load; assert 'torch' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_to_train_and_to_sample_import_no_decoder_of_video():
    """PyAV takes as long to start as all of the package; it is imported with the first video."""
    code = "import sys, filmgrain; filmgrain.train, filmgrain.sample; assert 'av' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "filmgrain", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith(f"filmgrain {__version__} ")


def test_every_error_of_the_table_exists():
    for name in errors.CODES:
        module, _, cls = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), cls), BaseException), name


@pytest.mark.parametrize("arguments", [["trian"], ["train", "--stepz=3"], ["extend"], ["sample", "x", "--count", "0"]])
def test_what_cannot_be_parsed_is_one_line(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("filmgrain: ") and err.count("\n") == 1


def test_of_a_full_disk_the_file_is_named_and_what_to_do():
    code, text = errors.explain(OSError(errno.ENOSPC, "No space left on device", "runs/a/x"))
    assert (code, text) == (74, "runs/a/x: No space left on device; make room on that disk, or write to another")
    ours = OSError(errno.EACCES, "cannot write the cache; give data.cache another disk")
    assert errors.explain(ours) == (74, "cannot write the cache; give data.cache another disk")


def fails(monkeypatch, error):
    def load(_):
        raise error

    monkeypatch.setattr("filmgrain.recipe.load", load)


def test_an_unexpected_error_is_one_line_and_70(run, monkeypatch):
    fails(monkeypatch, KeyError("of the\nprogram's own"))
    code, _, err = run("show", "x")
    assert (code, err.count("\n")) == (70, 1)
    assert "internal error: KeyError" in err and "report" in err


@pytest.mark.parametrize("how", ["--debug", "FILMGRAIN_DEBUG"])
def test_debug_shows_the_traceback(run, monkeypatch, how):
    fails(monkeypatch, KeyError("x"))
    if how == "--debug":
        code, _, err = run("--debug", "show", "x")
    else:
        monkeypatch.setenv(how, "1")
        code, _, err = run("show", "x")
    assert code == 70 and "Traceback" in err and err.splitlines()[-1].startswith("filmgrain: ")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(28, "No space left on device"), 74, "No space left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), 70, "lower train.batch"),
        (MemoryError(), 70, "out of memory"),
    ],
)
def test_exit_codes(run, monkeypatch, error, code, says):
    fails(monkeypatch, error)
    outcome = run("show", "x")
    assert outcome.code == code and says in outcome.err and outcome.err.count("\n") == 1


def test_an_interrupt_is_130(run, monkeypatch):
    fails(monkeypatch, KeyboardInterrupt())
    assert run("show", "x").code == 130
    assert errors.explain(KeyboardInterrupt()) == (130, "interrupted")


def test_codes_of_training(run, monkeypatch):
    from filmgrain.files.fsio import Locked
    from filmgrain.training import NonFinite, ResumeRefused, Stopped

    for error, code in ((ResumeRefused("x"), 3), (Locked("x"), 4), (NonFinite("x"), 76), (Stopped(15), 143)):
        fails(monkeypatch, error)
        assert run("show", "x").code == code


def test_of_a_workers_traceback_the_end_is_said():
    code, text = errors.explain(RuntimeError("worker 7 failed:\nTraceback ...\n  File x\nValueError: why\n"))
    assert code == 70 and "worker 7 failed: ValueError: why" in text


def test_commands_are_listed(run):
    out = run("--help").out
    assert all(name in out for name in ("train", "sample", "plan", "show", "import"))
