"""What a run does to the blocks of its network."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy import Toy, artefacts, batches_of

from filmgrain.training import Config, Run, train
from filmgrain.training.blocks import prepare

CONFIG = Config(steps=6, batch=4, save_every=3, validate_every=3, preview_every=0, warmup=2)
CPU = torch.device("cpu")


class Levelled(nn.Sequential):
    """BatchNorm, dropout and a layer on each of two levels."""

    def levels(self) -> list[list[nn.Module]]:
        return [[self[1]], [self[2]]]


class InBlocks(Toy):
    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        blocks = [nn.Sequential(nn.BatchNorm1d(24), nn.SiLU(), nn.Dropout(0.2), nn.Linear(24, 24)) for _ in range(2)]
        self.model = Levelled(nn.Linear(12, 24), *blocks, nn.Linear(24, 3))
        self.previewed = []


def run(folder: Path, config: Config = CONFIG, *, resume: bool = False) -> dict[str, bytes]:
    train(InBlocks(), batches_of(config.batch), config, Run(folder=folder), resume=resume)
    return artefacts(folder)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_recomputes_is_the_same_run_and_may_begin_to_midway(tmp_path: Path, precision: str) -> None:
    config = replace(CONFIG, precision=precision)
    whole = run(tmp_path / "plain", config)
    assert run(tmp_path / "one", replace(config, recompute=1)) == whole
    run(tmp_path / "parts", replace(config, steps=3))
    assert run(tmp_path / "parts", replace(config, recompute=-1), resume=True) == whole


def test_what_a_former_run_did_is_undone() -> None:
    model = InBlocks().model
    prepare(model, Config(recompute=-1), CPU)
    assert "forward" in vars(model[1]) and "forward" in vars(model[2])
    prepare(model, Config(recompute=1), CPU)
    assert "forward" in vars(model[1]) and "forward" not in vars(model[2])
    prepare(model, Config(), CPU)
    assert "forward" not in vars(model[1])


@pytest.mark.parametrize("asked", [{"recompute": 1}, {"compile": True}])
def test_a_network_without_levels_is_refused_in_one_line(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^the network names no blocks by level; use train.recompute=0 and"):
        prepare(Toy().model, Config(**asked), CPU)


def test_without_a_compiler_one_line_is_said(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no C++ compiler\nin any of\nthese places")

    whole = run(tmp_path / "plain")
    monkeypatch.setattr(torch, "compile", broken)
    capsys.readouterr()
    assert run(tmp_path / "run", replace(CONFIG, compile=True)) == whole
    said = capsys.readouterr().out
    line = "train.compile=true is passed over, since nothing can be compiled here: RuntimeError: no C++ compiler\n"
    assert said.count(line) == 1 and "these places" not in said


def test_a_compiled_run_resumes_and_keeps_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled to the operations as they are, which takes no compiler; and by no other batch than that of training."""
    seen: list[int] = []

    def watched(graph: Any, examples: Any) -> Any:
        seen.append(examples[0].shape[0])
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=watched))
    config = replace(CONFIG, compile=True)
    whole, plain = run(tmp_path / "whole", config), run(tmp_path / "plain")
    run(tmp_path / "parts", replace(config, steps=3))
    assert run(tmp_path / "parts", config, resume=True) == whole
    assert whole == plain  # names and bytes
    assert seen
