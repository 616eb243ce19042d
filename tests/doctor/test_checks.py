"""Each check in a case where it fires and in one where it does not; and a sound subject, of which nothing is said."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import subjects
import torch
from subjects import LABELLED, WORDED, Clips, event, falling, file, history, item, look, machine, plan, quiet, validated
from subjects import weights as weights_of

from filmgrain.doctor import data, files, recipe, run
from filmgrain.doctor import machine as machines
from filmgrain.doctor import weights as tensors
from filmgrain.doctor.examine import SUBJECTS, count, examine
from filmgrain.rooms import find
from filmgrain.training.checkpoint import State

LOW_RANGE = [item(low=0, high=1, spread=0.4)]
CLASSES = [item(label=0)] * 30 + [item(label=1)]
TRAINED = weights_of()


def changed(which: str, value: Callable[[torch.Tensor], torch.Tensor]) -> tensors.Weights:
    """The sound weights, with the first tensor of one of their parts replaced."""
    part = getattr(TRAINED, which)
    return weights_of(**{which: part | {first(which): value(part[first(which)])}})


def first(part: str) -> str:
    return next(iter(getattr(TRAINED, part)))


# check: (a subject in which it fires, what it says of it, one in which it does not)
CASES: dict[Any, tuple[Any, str, Any]] = {
    data.narrow_range: (look(seen=LOW_RANGE), "between 0 and 1 of", look(seen=[item(low=90, high=160)])),
    data.nearly_constant: (look(seen=[item(spread=1.0)]), "nearly one colour: a.gif", look(seen=[item(spread=8.0)])),
    data.static_clips: (
        look(seen=[item(change=3), item(source="b.gif")]),
        "nothing moves in 1 of 2 clips: a.gif",
        look(seen=[item(change=3), item(change=99)]),  # another window of the same clip
    ),
    data.duplicates: (
        look(contents=[{("train", "a"), ("train", "b")}]),
        "1 of 2 are copies",
        look(contents=[{("train", "a"), ("held_out", "a")}]),  # the ends of one clip
    ),
    data.leaked: (
        look(contents=[{("train", "a"), ("held_out", "b")}]),
        "such as b, a",
        look(contents=[{("train", "a"), ("train", "b")}]),
    ),
    data.captions_missing: (
        look(seen=[item(caption=""), item(caption="a cat")]),
        "1 of 2 items have an empty caption",
        look(seen=[item(caption="")]),  # none has any
    ),
    data.classes_unbalanced: (
        look(seen=CLASSES, train=31, classes=["cat", "dog"]),
        '30 are "cat" and 1 are "dog"',
        look(seen=[item(label=0)] * 9, train=1000, classes=["cat", "dog"]),  # too few to say
    ),
    data.held_out_empty: (look(held_out=0), "nothing is held out", look(held_out=1)),
    files.refused: (look(fates=[file(refused="is empty")]), "a.gif: is empty", look(fates=[file()])),
    files.scaled_up: (look(fates=[file(height=8)]), "smaller than 16x16", look(fates=[file(height=16, width=16)])),
    files.cropped_away: (look(fates=[file(kept=0.4)]), "less than half of 1 of 1", look(fates=[file(kept=0.6)])),
    files.shorter_than_window: (
        look(config=Clips(frames=16, fps=5.0), fates=[file(frames=20, fps=10.0)]),
        "shorter than data.frames=16",
        look(config=Clips(frames=16, fps=8.0), fates=[file(frames=20, fps=10.0)]),
    ),
    recipe.warned: (plan("diffusion.schedule.logsnr_min=-2.0"), "ends at", plan()),
    recipe.ema_never_starts: (plan("train.ema_start=20000"), "averaging begins", plan("train.ema_start=19999")),
    recipe.ema_longer_than_run: (plan("train.steps=8000"), "at step 8,990 only", plan("train.steps=9000")),
    recipe.warmup_longer_than_run: (plan("train.warmup=20000"), "is never reached", plan("train.warmup=19999")),
    recipe.rate_too_high: (plan("train.lr=0.1"), "train.lr=0.1", plan("train.lr=0.01")),
    recipe.neither_annealed_nor_averaged: (
        plan("train.ema=0"),
        "noisy as the learning rate",
        plan("train.ema=0", "train.schedule=cosine"),
    ),
    recipe.batch_larger_than_data: (plan("train.batch=9", items=8), "draws 9 items", plan("train.batch=8", items=8)),
    recipe.never_seen: (plan("train.steps=10", items=81), "1 of 81 items", plan("train.steps=10", items=80)),
    recipe.seen_too_often: (plan(items=159), "drawn 1,006 times", plan(items=160)),
    recipe.nothing_saved: (plan("train.save_every=20000"), "all is lost", plan("train.save_every=10000")),
    recipe.labels_never_dropped: (
        plan("conditions.label.drop=0.0", "sample.scale=3.0", recipe=LABELLED),
        "never trained",
        plan("conditions.label.drop=0.0", recipe=LABELLED),
    ),
    recipe.guidance_without_condition: (
        plan("sample.scale=3.0"),
        "has none",
        plan("sample.scale=3.0", recipe=LABELLED),
    ),
    recipe.labels_unused: (plan(classes=["a", "b"]), "2 classes", plan(classes=["a", "b"], recipe=LABELLED)),
    recipe.classes_differ: (
        plan(classes=["a", "c"], recipe=LABELLED),
        "they differ in b, c",
        plan(classes=["a", "b"], recipe=LABELLED),
    ),
    recipe.captions_not_read: (
        plan(texts=("a pink circle", "a red one"), captions=True, recipe=WORDED),
        "conditions.words: pink, one: not of the 3 words",
        plan(texts=("a red circle",), captions=True, recipe=WORDED),
    ),
    machines.step_too_large: (machine(step=15.0), "would hold 15.0 GB", machine(step=14.0)),
    machines.memory_nearly_full: (machine(seen=15.0), "has held 15.0 of 16.0", machine(seen=14.0)),
    machines.disk_too_small: (machine(disk=0.04), "3 checkpoints take 0.0 GB", machine(disk=1.0)),
    tensors.not_finite: (
        changed("ema", lambda tensor: tensor * torch.nan),
        f"average of {first('ema')}",
        TRAINED,
    ),
    tensors.without_gradient: (
        changed("moments", torch.zeros_like),
        f"never had a gradient: {first('ema')}",
        weights_of(state=State(step=19), moments={}),
    ),
    tensors.never_changed: (
        weights_of(model=TRAINED.model | {first("ema"): TRAINED.initial[first("ema")]}),
        "as they were initialised",
        TRAINED,
    ),
    tensors.average_not_begun: (
        weights_of(state=State(step=1000, ema_updates=0)),
        "never updated in 1,000 steps",
        weights_of(state=State(step=1000, ema_updates=1)),
    ),
    tensors.average_behind: (weights_of(ema=TRAINED.initial), "100% of all", TRAINED),
}

# The same of checks of a run, of its rows and settings.
Rows = list[dict[str, Any]]
SKIPPED = [*event("skipped", sources=["bad.gif", "b.gif"]), event("skipped", sources=["bad.gif"])[-1]]
SKIPPED += [{"step": 2020, "skipped": 2}]
RUNS: dict[Any, tuple[Rows, str, Rows, str]] = {  # check: rows and words, rows in which it does not, [train] of both
    run.not_finite: (
        [*falling(), {"step": 2000, "validation/loss at t=0.1": 1.0}],
        "validation/loss is not finite at step 2,000",
        validated([1.0]),
        "",
    ),
    run.skipped_steps: (
        SKIPPED,
        "2 of 2,020 steps were skipped for a gradient that was not finite; their batches share bad.gif",
        falling(),
        "",
    ),
    run.loss_rose: (
        subjects.with_figure("loss", lambda i: 1 - i / 100 if i < 50 else 0.01 * i),
        "the training loss rose from",
        falling(),
        "",
    ),
    run.loss_never_fell: (subjects.with_figure("loss", lambda i: 1.0), "has not fallen: 1 in", falling(), ""),
    run.overfitting: (validated([1.0, 0.5, 0.7, 0.8]), "held-out loss was 0.5", validated([1.0, 0.7, 0.5, 0.52]), ""),
    run.gradient_exploded: (
        subjects.with_figure("gradient_norm", lambda i: 100.0 if i == 50 else 1.0),
        "norm was 100 at step 1,020",
        subjects.with_figure("gradient_norm", lambda i: 100.0 if i == 0 else 1.0),  # where every run begins
        "",
    ),
    run.not_annealed: (quiet(falling()), "ended at 0.001 of 0.001", falling(), 'lr = 0.001\nschedule = "cosine"'),
    run.slower: (
        subjects.with_figure("steps_per_second", lambda i: 5.0 if i < 80 else 1.0),
        "the last rows made 1 steps a second, and 5 were usual",
        falling(),
        "",
    ),
    run.failed: (event("failed"), "1 times failed, the last at step 2,000: what happened", event("preview"), ""),
    run.unfinished: (quiet(falling()), "step 2,000 of 20,000", falling(), ""),
}


@pytest.mark.parametrize("check", CASES, ids=lambda check: f"{check.__module__.rpartition('.')[2]}.{check.__name__}")
def test_a_check_fires_where_it_should_and_nowhere_else(check):
    bad, words, good = CASES[check]
    found = list(check(bad))
    assert len(found) == 1 and words in str(found[0]) and "\n" not in str(found[0])
    assert found[0].do and found[0].severity in ("problem", "note")
    assert list(check(good)) == []


@pytest.mark.parametrize("check", RUNS, ids=lambda check: check.__name__)
def test_a_check_of_a_run_fires_where_it_should_and_nowhere_else(tmp_path, check):
    bad, words, good, train = RUNS[check]
    settings = f"steps = 20000\n{train}"
    found = list(check(history(tmp_path / "bad", bad, train=settings)))
    assert len(found) == 1 and words in str(found[0]) and "\n" not in str(found[0])
    assert list(check(history(tmp_path / "good", good, train=settings))) == []


def test_a_damaged_checkpoint_and_refused_files_are_found(tmp_path):
    told = history(tmp_path / "run", falling())
    assert [*run.damaged(told), *run.quarantined(told)] == []
    (told.folder / "quarantine.jsonl").write_text(json.dumps({"path": "a.gif", "reason": "is empty"}) + "\n")
    (told.checkpoints[0] / "state.json").write_text("[]")
    damaged, none = run.damaged(told)
    assert "state.json" in damaged.what and "no checkpoint is sound" in none.what
    (quarantined,) = run.quarantined(told)
    assert "1 files were refused, such as a.gif: is empty" in quarantined.what


def test_every_check_has_its_cases():
    every = {check for checks in SUBJECTS.values() for check in checks}
    assert every == {*CASES, *RUNS, run.damaged, run.quarantined}
    assert len(every) >= 40


def test_nothing_is_said_of_what_is_sound(tmp_path):
    sound = [look(), plan(), machine(), history(tmp_path / "run", falling()), TRAINED]
    assert examine(sound) == []
    assert count(sound) == sum(map(len, SUBJECTS.values()))


def test_problems_come_first():
    found = examine([look(held_out=0, seen=LOW_RANGE)])
    assert [finding.severity for finding in found] == ["problem", "problem", "note"]


@pytest.mark.parametrize("name", ["moving_shapes", "fireworks"])
def test_data_that_come_with_filmgrain_are_sound(name, monkeypatch):
    monkeypatch.setattr(data, "LOOKED_AT", 64)
    module = find("data", name)
    config = module.Config(frames=4, height=32, width=32)
    seen = data.look({split: module.Dataset(config, split) for split in ("train", "held_out")}, name)
    assert [str(finding) for finding in examine([seen])] == []


def test_copies_are_found_without_files():
    """Mirror images count as copies: which of the two is drawn is chance."""

    class Two:
        config = Clips()

        def __len__(self) -> int:
            return 2

        def summary(self) -> list[str]:
            return []

        def item(self, index: int, rng: object) -> dict[str, Any]:
            x = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
            return {"x": x[..., ::-1] if index else x, "source": str(index)}

    seen = data.look({"train": Two(), "held_out": Two()}, "two")
    assert seen.contents == [{("train", "0"), ("train", "1")}]
