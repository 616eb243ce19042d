"""Every exit code that docs/commands.md promises, through the entry point, and none besides."""

import errno
import importlib
import re
from pathlib import Path

import pytest
import torch

from filmgrain import runs
from filmgrain.cli import errors
from filmgrain.data import NoData
from filmgrain.data.loader import WorkerLost
from filmgrain.files.clip import Unreadable
from filmgrain.files.fsio import Locked
from filmgrain.recipe import RecipeError
from filmgrain.training.keeper import NonFinite
from filmgrain.training.run import ResumeRefused
from filmgrain.training.stop import Stopped
from filmgrain.training.world import Lost

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
ENDS = {  # what a command ends with: the code, and a part of the one line
    "a recipe": (RecipeError("there is no section [trian]"), 2, "[trian]"),
    "a resumption": (ResumeRefused("r was trained with another recipe"), 3, "another recipe"),
    "a second process": (Locked("r is in use by process 7"), 4, "process 7"),
    "no data": (NoData("f holds no usable video"), 65, "no usable video"),
    "a file": (Unreadable("a.gif", "is empty"), 65, "a.gif: is empty"),
    "a worker": (WorkerLost("loader worker 1 died"), 70, "worker 1 died"),
    "a defect": (KeyError("x"), 70, "please report it"),
    "memory": (torch.OutOfMemoryError("out of memory"), 70, "lower train.batch"),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "/r"), 74, "make room"),
    "a lost process": (Lost("rank 1 is gone"), 75, "rank 1"),
    "numbers that are none": (NonFinite("5 steps in a row"), 76, "5 steps"),
    "SIGINT in a step": (Stopped(2), 130, "SIGINT"),
    "SIGTERM": (Stopped(15), 143, "SIGTERM"),
}


@pytest.mark.parametrize("what", ENDS)
def test_a_command_ends_with_its_code_and_one_line(run, tiny, monkeypatch, what):
    error, code, says = ENDS[what]

    def train(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(runs, "train", train)
    outcome = run("train", tiny, "--run", "new")
    assert outcome.code == code, outcome
    assert outcome.err.startswith("filmgrain: ") and outcome.err.count("\n") == 1 and says in outcome.err


def test_the_code_is_the_same_where_the_error_output_goes_to_a_full_disk(monkeypatch):
    def write(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr.write", write)
    assert errors.report(Locked("r is in use"), debug=False) == 4


def test_the_page_lists_these_codes_and_no_others():
    section = PAGE.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for row in re.findall(r"^\| ([0-9, ]+) \|", section, re.MULTILINE) for code in row.split(",")}
    assert listed == {0, 1, *errors.CODES.values(), *(code for _, code, _ in ENDS.values())}


@pytest.mark.parametrize("name", errors.CODES)
def test_each_class_that_has_a_code_is_there(name):
    """They are named, not imported, so that a renamed one would silently become an internal error."""
    module, _, kind = name.rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), kind), Exception)
