"""What the objective learns and remembers in a real run: saved, resumed bit for bit, and left out for sampling."""

import pytest
import torch

import filmgrain
from filmgrain import runs
from filmgrain.diffusion.schedules import SCHEDULES
from filmgrain.diffusion.times import TIMES
from filmgrain.diffusion.weighting import WEIGHTINGS
from filmgrain.files import fsio, tensors
from filmgrain.recipe import RecipeError, dumps, loads

TINY = """
[data]
name = "moving_shapes"
frames = 2
height = 8
width = 8
clips = 12
[network]
name = "unet3d"
width = 8
mults = [1]
heads = 2
head_width = 8
[task]
validation = 2
previews = 0
[train]
device = "cpu"
precision = "float32"
batch = 4
warmup = 2
lr = 1e-3
save_every = 100
log_every = 2
validate_every = 4
preview_every = 0
"""
ALL = [
    "task.times={name = 'importance', bins = 4, warmup = 1}",
    "task.weighting=uncertainty",
    "diffusion.schedule={name = 'learned', units = 8}",
]
STATE = {"objective.times.square", "objective.times.seen"}
LEARNED = {"objective.weighting.a", "schedule.a"}


def trained(folder, steps, *settings, resume=False):
    recipe = filmgrain.override(loads(TINY), [f"train.steps={steps}", *settings])
    filmgrain.train(recipe, folder, resume=resume)
    newest, _ = fsio.newest(folder / "checkpoints")
    return {name: (newest / f"{name}.safetensors").read_bytes() for name in ("model", "ema", "optimizer")}, newest


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resumed_is_uninterrupted(tmp_path, precision):
    """Importance, learned uncertainty and a learned schedule at once, over 6 steps of two micro-batches, or 3 and 3."""
    settings = [*ALL, "train.accumulate=2", f"train.precision={precision}"]
    whole, newest = trained(tmp_path / "whole", 6, *settings)
    trained(tmp_path / "parts", 3, *settings)
    parts, _ = trained(tmp_path / "parts", 6, *settings, resume=True)
    assert parts == whole
    model, ema = tensors.load(newest / "model.safetensors"), tensors.load(newest / "ema.safetensors")
    assert model.keys() >= STATE | LEARNED and ema.keys() >= LEARNED and not STATE & ema.keys()
    assert model["objective.times.seen"].sum() == 6 * 4 * 2  # each draw was seen once, and they are drawn by loss now
    assert (model["objective.times.seen"] >= 1).all() and len(set(model["objective.times.square"].tolist())) == 4
    assert all(model[name].abs().min() > 0 and not torch.equal(model[name], ema[name]) for name in LEARNED)


def test_it_samples_by_the_learned_schedule_without_the_objective(tmp_path):
    _, newest = trained(tmp_path, 2, *ALL)
    model = filmgrain.load(tmp_path, device="cpu")
    assert set(tensors.load(newest / "ema.safetensors")) == {*dict(model.named_parameters()), "objective.weighting.a"}
    assert torch.equal(model.schedule.a, tensors.load(newest / "ema.safetensors")["schedule.a"])
    assert model.objective is None and not any(name.startswith("objective") for name in model.state_dict())
    videos = filmgrain.sample(model, 2, seed=0, config=filmgrain.Sampling(steps=3))
    assert videos.shape == (2, 3, 2, 8, 8) and videos.isfinite().all()


def test_nothing_is_added_to_runs_that_learn_no_more_than_a_network(tmp_path):
    _, newest = trained(tmp_path, 1, "task.times=logit_normal", "task.weighting=sigmoid")
    assert all(name.startswith("network.") for name in tensors.load(newest / "model.safetensors"))


def test_a_bad_step_leaves_what_importance_knows(tmp_path, monkeypatch):
    """NaN in the second of three steps: it is skipped, and the buffers are put back."""
    from filmgrain.diffusion import objective as module

    calls, loss = [], module.diffusion_loss

    def broken(*args, **options):
        calls.append(None)
        return loss(*args, **options) * (torch.nan if len(calls) == 2 else 1)

    monkeypatch.setattr(module, "diffusion_loss", broken)
    _, newest = trained(tmp_path, 3, *ALL, "task.validation=0")
    model = tensors.load(newest / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in model.values())
    assert model["objective.times.seen"].sum() == 2 * 4


def test_validation_holds_still_what_learns(tmp_path):
    """The same weights have the same figures, whatever schedule and uncertainty have come to be."""
    from filmgrain.runs import build
    from filmgrain.tasks.diffusion import Task

    recipe = filmgrain.override(loads(TINY), ALL)
    from filmgrain.runs import datasets

    task = Task(recipe.task, build(recipe), seed=0, held_out=datasets(recipe)["held_out"], sampling=recipe.sample)
    before = task.validate()
    with torch.no_grad():
        task.objective.weighting.a.fill_(0.7)
        task.model.schedule.a.copy_(torch.randn(8))
    assert task.validate() == before and before["loss"] > 0


@pytest.mark.parametrize(
    "setting",
    [
        *(f"task.weighting={name}" for name in WEIGHTINGS),
        *(f"task.times={name}" for name in TIMES),
        *(f"diffusion.schedule={name}" for name in SCHEDULES),
    ],
)
def test_every_choice_is_read_back_as_it_was_written(setting):
    recipe = filmgrain.override(loads(TINY), [setting])
    assert loads(dumps(recipe)) == recipe


# Bad input.


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ('times = "logitnormal"', 'task.times="logitnormal" is unknown; did you mean "logit_normal"?'),
        ('weighting = "uncertain"', 'task.weighting="uncertain" is unknown; did you mean "uncertainty"?'),
        ('times = {name = "importance", bin = 3}', '[task.times] has no "bin"; did you mean "bins"?'),
        ('times = {name = "importance", bins = 1}', "[task.times] bins=1"),
        ('times = {name = "logit_normal", std = -1}', "[task.times] std=-1.0"),
        ('weighting = {name = "p2", k = 0}', "[task.weighting] gamma=1.0, k=0.0"),
        ('weighting = "elbo"\n[diffusion]\nschedule = "linear_beta"', "the weighting ELBO needs the schedule's slope"),
        ('weighting = "sigmoid"\n[diffusion]\nschedule = "cosine_beta"', "which CosineBeta, a table of steps, has not"),
        ('distance = "l2"\n[diffusion]\nschedule = {name = "learned", units = 0}', "[diffusion.schedule] units=0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(task, words):
    with pytest.raises(RecipeError) as caught:
        loads(f'[data]\nname = "moving_shapes"\n[network]\nname = "unet3d"\n[task]\n{task}')
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_explodes_is_warned_of_before_training():
    def said(*settings):
        return runs.warnings(filmgrain.override(loads(TINY), settings))

    (sentence,) = said("diffusion.prediction=eps", "task.weighting=truncated_snr")
    assert 'weighting "truncated_snr" with prediction "eps" multiplies' in sentence and '"v"' in sentence
    assert said("diffusion.prediction=v", "task.weighting=truncated_snr") == []
