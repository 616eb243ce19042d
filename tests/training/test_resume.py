"""A run resumed is the run uninterrupted, bit for bit; and what cannot be resumed is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Toy, artefacts, batches_of, trace

from filmgrain.files import fsio, tensors
from filmgrain.training import Config, ResumeRefused, Run, checkpoint, train

CONFIG = Config(steps=14, batch=4, save_every=5, log_every=4, validate_every=6, preview_every=7, warmup=3)
RECIPE = "[network]\nwidth = 64\n[train]\nsteps = 14\nlr = 3e-4\n"


def run(folder: Path, config: Config = CONFIG, *, resume: bool = False, recipe: str = RECIPE, seed: int = 0) -> Toy:
    task = Toy(seed)
    train(task, batches_of(config.batch), config, Run(folder=folder, recipe=recipe), resume=resume)
    return task


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_resumed_is_uninterrupted(tmp_path: Path, accumulate: int, precision: str, optimizer: str) -> None:
    """Weights, BatchNorm, EMA, moments, counters and rows; stopped off every interval, resumed twice."""
    config = replace(CONFIG, accumulate=accumulate, precision=precision, optimizer=optimizer, weight_decay=0.1)
    run(tmp_path / "whole", config)
    interrupted(tmp_path / "parts", config, after=7)
    interrupted(tmp_path / "parts", config, after=4, resume=True, seed=1)
    run(tmp_path / "parts", config, resume=True, seed=2)
    assert artefacts(tmp_path / "parts") == artefacts(tmp_path / "whole")
    assert trace(tmp_path / "parts") == trace(tmp_path / "whole")
    assert len(trace(tmp_path / "whole")) == 4 + 3  # rows at 4, 8, 12, 14; validations at 6, 12, 14


class Gone(Exception):
    """Stands for a death between two steps."""


def interrupted(folder: Path, config: Config, *, after: int, resume: bool = False, seed: int = 0) -> None:
    """Trains until the stream of batches breaks, after so many optimiser steps."""

    def batches(start: int) -> Any:
        stream = batches_of(config.batch)(start)
        for _ in range(after * config.accumulate):
            yield next(stream)
        raise Gone

    with pytest.raises(Gone):
        train(Toy(seed), batches, config, Run(folder=folder, recipe=RECIPE), resume=resume)


def test_a_longer_run_goes_on_where_the_shorter_ended(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "parts", replace(CONFIG, steps=8))
    run(tmp_path / "parts", resume=True, recipe=RECIPE.replace("14", "15"))
    ours, whole = artefacts(tmp_path / "parts"), artefacts(tmp_path / "whole")
    for name in ("model.safetensors", "ema.safetensors", "optimizer.safetensors"):
        assert ours[f"step-00000014/{name}"] == whole[f"step-00000014/{name}"]
    assert (tmp_path / "parts" / "recipe.toml").read_text() == RECIPE.replace("14", "15")


def test_that_nothing_is_left_to_train_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "run")
    assert "nothing is left" not in capsys.readouterr().out
    run(tmp_path / "run", replace(CONFIG, steps=5), resume=True)
    assert "nothing is left to train: train.steps=5" in capsys.readouterr().out


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    run(tmp_path)
    before, rows = artefacts(tmp_path), trace(tmp_path)
    run(tmp_path, resume=True, seed=1)
    assert artefacts(tmp_path) == before
    assert trace(tmp_path) == rows


def test_what_draws_and_fails_in_a_preview_changes_nothing(tmp_path: Path) -> None:
    class Wild(Toy):
        def validate(self) -> dict[str, float]:
            self.model.train()
            self.model(torch.randn(8, 12))  # moves the BatchNorm's statistics
            raise ValueError("validation broke")

        def preview(self, folder: Path, step: int) -> list[Path]:
            torch.manual_seed(step)
            for parameter in self.model.parameters():
                parameter.fill_(torch.nan)
            raise KeyError("preview broke")

    run(tmp_path / "calm")
    train(Wild(), batches_of(4), CONFIG, Run(folder=tmp_path / "wild", recipe=RECIPE))
    assert artefacts(tmp_path / "wild") == artefacts(tmp_path / "calm")
    events = [row for row in fsio.read_jsonl(tmp_path / "wild" / "metrics.jsonl") if row.get("event") == "failed"]
    assert [event["step"] for event in events] == [6, 7, 12, 14, 14]
    assert "ValueError: validation broke" in events[0]["text"]


def test_validation_and_preview_see_the_average_in_evaluation_mode(tmp_path: Path) -> None:
    class Watching(Toy):
        def validate(self) -> dict[str, float]:
            assert not any(module.training for module in self.model.modules())
            assert not torch.is_grad_enabled()
            self.seen = {name: p.clone() for name, p in self.model.named_parameters()}
            return {}

    task = Watching()
    train(task, batches_of(4), CONFIG, Run(folder=tmp_path))
    (newest, _) = fsio.newest(tmp_path / "checkpoints")
    assert newest is not None
    averages = tensors.load(newest / "ema.safetensors")
    assert all(torch.equal(averages[name], p) for name, p in task.seen.items())
    raw = tensors.load(newest / "model.safetensors")
    assert not any(torch.equal(raw[name], p) for name, p in task.seen.items())
    assert all(torch.equal(raw[name], p) for name, p in task.model.named_parameters())
    assert task.model.training
    assert task.previewed == [7, 14]


def test_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    run(tmp_path, replace(CONFIG, keep=2))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000010", "step-00000014"]


# What is refused. Each in one line, with nothing changed.


def test_a_changed_recipe_is_refused_with_the_difference(tmp_path: Path) -> None:
    run(tmp_path)
    before = artefacts(tmp_path)
    with pytest.raises(
        ResumeRefused, match=r"network\.width was 64 and is 32; train\.lr was 0\.0003 and is 0\.001; undo"
    ):
        run(tmp_path, resume=True, recipe=RECIPE.replace("64", "32").replace("3e-4", "1e-3").replace("14", "20"))
    assert artefacts(tmp_path) == before
    run(tmp_path, resume=True, recipe=RECIPE + "save_every = 7\n[sample]\nsteps = 9\n")


def test_a_recipe_from_before_a_field_was_added_is_read_as_of_today(tmp_path: Path) -> None:
    run(tmp_path)
    today = RECIPE + "betas = [0.9, 0.99]\n"
    with pytest.raises(ResumeRefused, match=r"train\.betas was 'unset'"):
        run(tmp_path, resume=True, recipe=today)
    read_today = Run(folder=tmp_path, recipe=today, reread=lambda saved: saved + "betas = [0.9, 0.99]\n")
    train(Toy(1), batches_of(4), CONFIG, read_today, resume=True)


def test_a_run_is_not_started_over(tmp_path: Path) -> None:
    run(tmp_path)
    before = artefacts(tmp_path)
    with pytest.raises(ResumeRefused, match="step-00000014; add --resume to go on, or use another --run"):
        run(tmp_path)
    assert artefacts(tmp_path) == before


def test_a_run_that_never_got_a_step_is(tmp_path: Path) -> None:
    interrupted(tmp_path, CONFIG, after=0)
    run(tmp_path)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ResumeRefused, match="holds no run"):
        run(tmp_path / "missing", resume=True)
    assert not (tmp_path / "missing").exists()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ResumeRefused, match="no usable checkpoint: it holds none"):
        run(tmp_path, resume=True)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(tmp_path: Path) -> None:
    run(tmp_path)
    whole = artefacts(tmp_path)
    path = tmp_path / "checkpoints" / "step-00000014" / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    run(tmp_path, resume=True, seed=1)
    assert artefacts(tmp_path) == whole
    assert [p.name[:21] for p in (tmp_path / "checkpoints").glob("damaged-*")] == ["damaged-step-00000014"]
    for path in (tmp_path / "checkpoints").glob("step-*/model.safetensors"):
        path.unlink()
    with pytest.raises(ResumeRefused, match=r"no usable checkpoint: .*model\.safetensors is missing.*; .*is missing"):
        run(tmp_path, resume=True)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        run(tmp_path)
    with pytest.raises(checkpoint.NewerFormat, match=r"has format 2; this version reads up to 1: update filmgrain"):
        run(tmp_path, resume=True)


def test_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    task = Toy()
    task.model[0] = torch.nn.Linear(12, 25)
    with pytest.raises(checkpoint.Mismatch, match=r"0\.bias is \(24,\) there and \(25,\) here"):
        train(task, batches_of(4), CONFIG, Run(folder=tmp_path, recipe=RECIPE), resume=True)


def test_frozen_parameters_are_not_saved_but_must_be_the_same(tmp_path: Path) -> None:
    def frozen(seed: int) -> Toy:
        class Half(Toy):
            def groups(self) -> Any:
                return {"rest": {name: p for name, p in self.model.named_parameters() if p.requires_grad}}

        task = Half(seed)
        task.model[0].requires_grad_(False)
        return task

    train(frozen(0), batches_of(4), CONFIG, Run(folder=tmp_path))
    newest = tmp_path / "checkpoints" / "step-00000014"
    assert "0.weight" not in tensors.load(newest / "model.safetensors")
    checkpoint.load_model(newest, frozen(0).model)
    with pytest.raises(checkpoint.Mismatch, match="other frozen parameters"):
        checkpoint.load_model(newest, frozen(1).model)


def test_a_loaded_model_has_the_averaged_weights_and_the_buffers(tmp_path: Path) -> None:
    trained, loaded = run(tmp_path).model, Toy(5).model
    newest = tmp_path / "checkpoints" / "step-00000014"
    checkpoint.load_model(newest, loaded, ema=False)
    assert all(torch.equal(a, loaded.state_dict()[name]) for name, a in trained.state_dict().items())
    checkpoint.load_model(newest, loaded)
    averages = tensors.load(newest / "ema.safetensors")
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, averages.get(name, trained.state_dict()[name])), name


def test_a_checkpoint_holds_what_it_says(tmp_path: Path) -> None:
    run(tmp_path)
    folder = tmp_path / "checkpoints" / "step-00000014"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ema.safetensors", "manifest.json", "model.safetensors", "optimizer.safetensors", "recipe.toml", "state.json"
    ]  # fmt: skip
    state = json.loads((folder / "state.json").read_text())
    assert state["step"] == state["ema_updates"] == 14
    assert state["format"] == 1
    assert state["torch"] == torch.__version__
    moments = tensors.load(folder / "optimizer.safetensors")
    assert moments["network/0.weight.step"] == 14
    assert len(moments) == 3 * len(list(Toy().model.parameters()))
