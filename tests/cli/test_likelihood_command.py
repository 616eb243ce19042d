"""Bits per dimension from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

FEW = ["--items", "2", "--levels", "3", "--steps", "2", "--probes", "1"]


@pytest.fixture
def copy(trained):
    shutil.copytree(trained, "run")
    return "run"


def rows():
    return [json.loads(line) for line in Path("run/likelihood.jsonl").read_text().splitlines()]


def test_of_held_out_data(run, copy):
    code, out, err = run("likelihood", copy, *FEW, "--seed", "3")
    assert (code, err) == (0, "")
    assert (
        "bits per dimension (95 %: " in out and "2 items, variational bound" in out and "0.0366 reconstruction" in out
    )
    assert "held_out, seed 3; ema weights of step 2" in out and "NFE 3 an item" in out
    assert run("likelihood", copy, *FEW, "--method", "ode", "--dequantisation", "uniform").code == 0
    bound, ode = rows()
    assert (bound["method"], bound["items"], bound["seed"], bound["levels"]) == ("bound", 2, 3, 3)
    assert (bound["run"], bound["step"], bound["weights"], bound["data"]) == ("run", 2, "ema", "held_out")
    assert (ode["method"], ode["dequantisation"], ode["steps"], ode["nfe"]) == ("ode", "uniform", 2, 8)
    assert f"{bound['bits_per_dimension']:.3f} bits" in out and len(bound["bits"]) == 2


def test_the_same_figures_whatever_the_batch(run, copy):
    for batch in ("1", "2"):
        assert run("likelihood", copy, *FEW, "--batch", batch).code == 0
    one, other = rows()
    assert one["bits"] == pytest.approx(other["bits"], abs=1e-4)


def test_of_other_files(run, copy, clips):
    """All of a folder, in the size of the run: 8 frames make two clips of 4."""
    code, out, _ = run("likelihood", copy, *FEW, "--data", clips)
    assert code == 0 and f"{clips}, seed 0" in out and rows()[0]["data"] == clips


def test_what_cannot_be_measured(run, copy, clips, tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures/a.png")
    for code, arguments, says in (
        (2, [copy, "--method", "mcmc"], 'method="mcmc"'),
        (2, [copy, "--split", "test"], "--split test"),
        (2, [copy, "--items", "0"], "--items"),
        (2, [copy, "--gamma", "2"], "--gamma"),
        (2, [copy, "--device", "cud"], 'device="cud"'),
        (2, [copy, "--weights", "best"], 'weights="best"'),
        (65, ["nowhere"], "nowhere is not a run"),
        (65, [copy, "--data", "pictures"], "pictures holds no usable video"),
        (65, [copy, "--data", "missing"], "missing"),
    ):
        outcome = run("likelihood", *arguments)
        assert (outcome.code, outcome.err.count("\n")) == (code, 1), arguments
        assert says in outcome.err, outcome.err
    assert not Path("run/likelihood.jsonl").exists()


def test_a_run_that_held_nothing_out(run, clips, cheap):
    for setting in ("data.held_out=0", "task.validation=0", "task.previews=0", "data.frames=4"):
        cheap += ["--set", setting]
    assert run("train", clips, "--steps", "1", "--run", "r", *cheap).code == 0
    code, _, err = run("likelihood", "r", *FEW)
    assert code == 65 and "holds nothing out" in err and "measure on train" in err
    assert run("likelihood", "r", *FEW, "--split", "train").code == 0
