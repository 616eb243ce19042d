"""What interrupts a run: non-finite gradients, full disks, signals, and other processes."""

import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Toy, artefacts, batches_of, trace

from filmgrain.files import fsio
from filmgrain.training import Config, NonFinite, Run, Stopped, checkpoint, train

CONFIG = Config(steps=12, batch=4, save_every=5, log_every=4, warmup=3)


def events(run: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in fsio.read_jsonl(run / "metrics.jsonl") if row.get("event") == name]


def test_a_bad_step_is_skipped_counted_and_named(tmp_path: Path) -> None:
    train(Toy(), batches_of(4, bad=frozenset({9, 26})), CONFIG, Run(folder=tmp_path))
    assert [(row["step"], row["sources"][1:3]) for row in events(tmp_path, "skipped")] == [
        (3, ["clip-9", "clip-10"]),
        (7, ["clip-25", "clip-26"]),
    ]
    rows = trace(tmp_path)
    assert [row["skipped"] for row in rows if "skipped" in row] == [1, 2, 2]
    assert all("loss" in row for row in rows if "skipped" in row)


def test_a_bad_step_resumes_exactly(tmp_path: Path) -> None:
    batches = batches_of(4, bad=frozenset({3, 9, 26, 30}))
    train(Toy(), batches, CONFIG, Run(folder=tmp_path / "whole"))
    for steps in (7, 12):
        train(Toy(), batches, replace(CONFIG, steps=steps), Run(folder=tmp_path / "parts"), resume=steps == 12)
    ours, whole = artefacts(tmp_path / "parts"), artefacts(tmp_path / "whole")
    assert ours.keys() == whole.keys()
    assert all(ours[name] == whole[name] for name in whole if name.endswith(".safetensors"))


def test_too_many_bad_steps_end_the_run_on_a_sound_checkpoint(tmp_path: Path) -> None:
    bad = frozenset(range(28, 1000))  # from step 8 on
    config = replace(CONFIG, steps=50, nonfinite_limit=3)
    with pytest.raises(NonFinite, match=r"3 steps in a row .* up to step 10; the checkpoint of step 5 is sound: lower"):
        train(Toy(), batches_of(4, bad), config, Run(folder=tmp_path))
    newest, refused = fsio.newest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.name == "step-00000005"
    assert not refused


def test_bad_steps_with_good_ones_between_do_not(tmp_path: Path) -> None:
    bad = frozenset(n for n in range(0, 1000, 4) if n % 12)  # two of three steps
    train(Toy(), batches_of(4, bad), replace(CONFIG, nonfinite_limit=3), Run(folder=tmp_path))
    assert trace(tmp_path)[-2]["skipped"] == 8


def test_weights_that_overflow_are_never_saved(tmp_path: Path) -> None:
    class Overflow(Toy):
        def loss(self, batch: Any, group: str) -> Any:
            if batch["n"][0] == 28:
                with torch.no_grad():
                    self.model[0].weight[0, 0] = torch.inf
            return super().loss({**batch, "x": batch["x"] * 0}, group)

    with pytest.raises(NonFinite, match=r"0\.weight is not finite at step \d+.* step 5 is sound"):
        train(Overflow(), batches_of(4), replace(CONFIG, nonfinite_limit=100), Run(folder=tmp_path))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000000", "step-00000005"]


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, rows = checkpoint.save, fsio.append_jsonl

    def fails_at_5(run: Run, state: Any, *rest: Any, **more: Any) -> Path:
        if state.step == 5:
            raise OSError(28, "No space left on device")
        return save(run, state, *rest, **more)

    train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path / "calm"))
    monkeypatch.setattr(checkpoint, "save", fails_at_5)
    train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path / "full"))
    assert artefacts(tmp_path / "full") == artefacts(tmp_path / "calm")
    assert "No space left on device" in events(tmp_path / "full", "save failed")[0]["text"]

    def no_rows(path: Path, row: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fsio, "append_jsonl", no_rows)
    train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path / "mute"))
    monkeypatch.setattr(fsio, "append_jsonl", rows)
    assert artefacts(tmp_path / "mute") == artefacts(tmp_path / "calm")


def test_a_second_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    with fsio.lock(tmp_path), pytest.raises(fsio.Locked):
        train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("where", ["loss", "preview", "validate"])
def test_a_signal_saves_and_stops(tmp_path: Path, number: signal.Signals, where: str) -> None:
    """In a step, which is finished first; in a preview or validation, which the resumed run makes again."""

    class Told(Toy):
        told = False

        def tell(self) -> None:
            if not self.told:
                self.told = True
                signal.raise_signal(number)
                time.sleep(0 if where == "loss" else 5)  # a preview is left at once

        def loss(self, batch: Any, group: str) -> Any:
            if where == "loss" and batch["n"][0] == 24:
                self.tell()
            return super().loss(batch, group)

        def validate(self) -> dict[str, float]:
            if where == "validate":
                self.tell()
            return super().validate()

        def preview(self, folder: Path, step: int) -> list[Path]:
            if where == "preview":
                self.tell()
            return super().preview(folder, step)

    config = replace(CONFIG, preview_every=7, validate_every=7)
    train(Toy(), batches_of(4), config, Run(folder=tmp_path / "whole"))
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    started = time.monotonic()
    with pytest.raises(Stopped) as stopped:
        train(Told(), batches_of(4), config, Run(folder=tmp_path / "parts"))
    assert time.monotonic() - started < 4
    assert stopped.value.exit_code == 128 + number
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
    newest, _ = fsio.newest(tmp_path / "parts" / "checkpoints")
    assert newest is not None
    assert newest.name == "step-00000007"
    task = Toy(1)
    train(task, batches_of(4), config, Run(folder=tmp_path / "parts"), resume=True)
    assert artefacts(tmp_path / "parts") == artefacts(tmp_path / "whole")
    assert trace(tmp_path / "parts") == trace(tmp_path / "whole")
    assert task.previewed == [7, 12]


def test_a_signal_during_a_save_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(name: str) -> None:
        if name == "save.manifest" and (tmp_path / "checkpoints" / "step-00000000").exists():
            monkeypatch.setattr(fsio, "point", lambda name: None)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(fsio, "point", tell)
    with pytest.raises(Stopped):
        train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path))
    newest, refused = fsio.newest(tmp_path / "checkpoints")
    assert newest is not None
    assert (newest.name, refused) == ("step-00000005", [])


def test_a_row_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    for every in (1, 4):
        train(Toy(), batches_of(4), replace(CONFIG, steps=10, log_every=every), Run(folder=tmp_path / str(every)))
    single = [row["loss"] for row in trace(tmp_path / "1") if "loss" in row]
    rows = [(row["step"], row["loss"]) for row in trace(tmp_path / "4") if "loss" in row]
    assert [step for step, _ in rows] == [4, 8, 10]
    assert [loss for _, loss in rows] == pytest.approx([sum(single[:4]) / 4, sum(single[4:8]) / 4, sum(single[8:]) / 2])


def test_a_checkpoint_damaged_as_it_is_written_costs_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoint.save

    def bad_disk(run: Run, state: Any, *rest: Any) -> Path:
        folder = save(run, state, *rest)
        if state.step == 10:
            (folder / "ema.safetensors").write_bytes(b"")
        return folder

    monkeypatch.setattr(checkpoint, "save", bad_disk)
    train(Toy(), batches_of(4), replace(CONFIG, keep=1), Run(folder=tmp_path))
    assert "ema.safetensors has 0 bytes" in events(tmp_path, "save failed")[0]["text"]
    assert [path.name for path in fsio.staged_folders(tmp_path / "checkpoints")] == ["step-00000012"]


def test_what_is_left_of_an_older_checkpoint_goes_with_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def fails_once(folder: Path, **more: Any) -> None:
        if folder.exists():
            monkeypatch.setattr(shutil, "rmtree", remove)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "rmtree", fails_once)
    train(Toy(), batches_of(4), replace(CONFIG, keep=1), Run(folder=tmp_path))
    assert "Input/output error" in events(tmp_path, "not removed")[0]["text"]
    assert not events(tmp_path, "save failed")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000012"]


def test_rows_are_plain_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(Toy(), batches_of(4), CONFIG, Run(folder=tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("training from step 0 on cpu, ")
    assert lines[-1].startswith("step 12/12  loss 0.")
    assert "steps/s" in lines[-1]
    assert "\x1b" not in "".join(lines)


def test_tensorboard_is_written_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(Toy(), batches_of(4), replace(CONFIG, tensorboard=True), Run(folder=tmp_path))
    assert list((tmp_path / "tensorboard").glob("events.*"))
