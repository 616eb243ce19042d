"""What `filmgrain plan` computes from what it measures. Times themselves are for benchmarks/plan_accuracy.py."""

import sys
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace

import pytest

from filmgrain import runs
from filmgrain.cli import probe
from filmgrain.cli.probe import Cost, kept_gigabytes, pace, times_due
from filmgrain.recipe import load, override
from filmgrain.training.config import Config


@pytest.mark.parametrize(
    "steps, every, times", [(3000, 1000, 3), (3500, 1000, 4), (10, 1000, 1), (10, 0, 1), (1001, 1, 1001)]
)
def test_what_is_due_every_so_often_is_due_at_the_end_too(steps, every, times):
    assert times_due(steps, every) == times


def test_as_often_as_the_loop_looks():
    """Against the loop's own rule."""
    for steps, every in ((7, 3), (6, 3), (5, 0), (2, 5)):
        looks = sum(step == steps or bool(every and step % every == 0) for step in range(1, steps + 1))
        assert times_due(steps, every) == looks


def test_loading_comes_before_a_step_or_beside_it():
    assert pace(0.5, 2.0, workers=0) == 2.5
    assert pace(0.5, 2.0, workers=1) == 2.0
    assert pace(6.0, 2.0, workers=2) == 3.0


def test_a_run_is_its_steps_and_previews():
    cost = Cost(seconds=0.5, preview=10.0, gigabytes=1.0, place="cpu")
    assert cost.of_run(Config(steps=100, preview_every=40)) == 100 * 0.5 + 3 * 10.0


@pytest.fixture
def recipe(tiny):
    return load(tiny)


def test_blocks_that_forget_keep_less(recipe):
    deep = override(recipe, ["data.height=32", "data.width=32"])
    assert kept_gigabytes(override(deep, ["train.recompute=-1"])) < 0.8 * kept_gigabytes(deep)


def test_a_probe_steps_until_it_has_seen_enough(recipe, monkeypatch):
    """On a clock by which loading a batch takes 1 s and a step 2 s."""
    now, steps, drawn = [0.0], [], []

    def passing(seconds, seen):
        now[0] += seconds
        seen.append(now[0])

    monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    stepper = SimpleNamespace(
        place=SimpleNamespace(move=lambda batch: batch),
        step=lambda number, batches: passing(2.0 if number else 50.0, steps) or {"loss": 0.0},
    )
    batches = iter(lambda: passing(1.0, drawn), object())
    assert probe._times(stepper, batches, 2) == (2.0, 2.0)  # two batches a step
    assert len(steps) == 2 and len(drawn) == 4


def test_a_probe_trains_on_the_data_and_begins_a_preview(recipe, monkeypatch):
    monkeypatch.setattr(probe, "STEPS", 1)
    cost = probe.probe(override(recipe, ["sample.steps=50"]), runs.datasets(recipe))
    assert cost.seconds > 0 and cost.preview > 0 and cost.gigabytes > 0 and cost.place == "cpu, float32"
    stage = ["network.condition=4", "network.maps=3", "conditions.low_resolution.factor=2"]  # shown what is held out
    assert probe.probe(override(recipe, stage), runs.datasets(recipe)).preview > 0
    without = probe.probe(override(recipe, ["task.previews=0"]), runs.datasets(recipe))
    assert without.preview == 0


def test_a_probe_asks_no_more_of_a_task_than_its_contract_says(recipe, monkeypatch):
    monkeypatch.setattr(probe, "STEPS", 1)

    class Task:
        def __init__(self, config, model, *, seed, held_out, sampling, batch):
            self.model = model

        def groups(self):
            return {"model": dict(self.model.named_parameters())}

        def loss(self, batch, group):
            return sum(parameter.square().sum() for parameter in self.model.parameters()), {}

        def validate(self):
            return {}

    mine = ModuleType("my.task")
    mine.Config, mine.Task = dataclass(frozen=True)(type("Config", (), {"__module__": "my.task"})), Task
    monkeypatch.setitem(sys.modules, "my.task", mine)
    cost = probe.probe(replace(recipe, task=mine.Config()), runs.datasets(recipe))
    assert cost.seconds > 0 and cost.preview == 0
