"""A run of format 1, written once by version 0.1.0 and kept: later versions read it and go on with it.

It is `train(Toy(), batches_of(4), replace(CONFIG, steps=5), Run(folder=GOLDEN))`. When the format changes, another is
made beside it, and this one stays.
"""

import shutil
from pathlib import Path

import pytest
import torch
from toy import Toy, batches_of, trace

from filmgrain.files import fsio
from filmgrain.training import Config, Run, checkpoint, train

GOLDEN = Path(__file__).parent / "golden" / "format-1"
CONFIG = Config(steps=8, batch=4, save_every=5, keep=1, log_every=1, warmup=3, precision="float32", device="cpu")
RAW, AVERAGED = [0.153728, -0.179807, -0.141014], [0.154031, -0.180023, -0.14131]  # outputs, as they were then
NEWEST = GOLDEN / "checkpoints" / "step-00000005"


def test_it_verifies_and_says_what_it_is() -> None:
    fsio.verify(NEWEST)
    state = checkpoint.read_state(NEWEST)
    assert (state.step, state.ema_updates, state.skipped) == (5, 5, 0)


@pytest.mark.parametrize(("ema", "expected"), [(False, RAW), (True, AVERAGED)], ids=["raw", "averaged"])
def test_its_weights_give_what_they_gave(ema: bool, expected: list[float]) -> None:
    model = Toy(1).model.eval()
    checkpoint.load_model(NEWEST, model, ema=ema)
    with torch.no_grad():
        found = model(torch.linspace(-1, 1, 12)[None]).flatten()
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_it_is_gone_on_with(tmp_path: Path) -> None:
    """To where a run that was never interrupted comes."""
    shutil.copytree(GOLDEN, tmp_path / "run")
    train(Toy(1), batches_of(4), CONFIG, Run(folder=tmp_path / "run"), resume=True)
    train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path / "whole"))
    ours, whole = ([row["loss"] for row in trace(tmp_path / name) if "loss" in row] for name in ("run", "whole"))
    assert ours == pytest.approx(whole, rel=1e-4)
    assert len(ours) == 8
