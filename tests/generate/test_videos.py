"""Videos from noise: bytes that a seed decides, samples that a batch does not change, and options that are checked."""

import sys

import pytest
import torch
from small_video_model import SHAPE, model_of

from filmgrain import rooms
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.generate.sampling import Config, guided, walk, warnings
from filmgrain.generate.videos import NotFinite, generate, save_video, to_uint8
from filmgrain.guidance.classifier_free import Always
from filmgrain.guidance.interval import Interval
from filmgrain.guidance.rescale import Rescale
from filmgrain.model import Config as Diffusion


@pytest.fixture(scope="module")
def model():
    return model_of()


def few_steps_of(sampler):
    return Config(sampler=sampler, steps=4)


samplers = pytest.mark.parametrize("sampler", rooms.names("samplers"))


@samplers
def test_a_seed_decides_every_byte(model, sampler):
    first, again = (generate(model, 2, seed=5, config=few_steps_of(sampler)) for _ in range(2))
    assert torch.equal(first, again)
    other = generate(model, 2, seed=6, config=few_steps_of(sampler))
    assert not torch.allclose(first, other, atol=0.1)
    assert not torch.allclose(first[0], first[1], atol=0.1)


@samplers
def test_the_batch_does_not_change_the_samples(model, sampler):
    alone, few, all_at_once = (generate(model, 8, config=few_steps_of(sampler), batch=batch) for batch in (1, 3, 8))
    torch.testing.assert_close(few, alone, rtol=0, atol=1e-4)
    torch.testing.assert_close(all_at_once, alone, rtol=0, atol=1e-4)
    torch.testing.assert_close(generate(model, 3, config=few_steps_of(sampler)), alone[:3], rtol=0, atol=1e-4)


def test_samples_are_of_the_models_shape_or_the_one_asked_for(model):
    x = generate(model, 1, config=Config(steps=2))
    assert x.shape == (1, *SHAPE) and x.dtype == torch.float32 and x.abs().max() <= 1 and not x.requires_grad
    assert generate(model, 2, config=Config(steps=1), shape=(3, 5, 16, 8)).shape == (2, 3, 5, 16, 8)


def test_the_model_samples_in_eval_mode_and_is_left_as_it_was(model):
    """Mistake 8: a network sampled in train mode."""
    seen = []
    handle = model.network.register_forward_hook(lambda network, *_: seen.append(network.training))
    model.train()
    generate(model, 1, config=Config(steps=2))
    assert model.training and seen == [False, False]
    model.eval()
    generate(model, 1, config=Config(steps=1))
    assert not model.training
    handle.remove()


def test_no_gradients_are_kept_by_a_codec_that_learns():
    model = model_of()
    model.codec.gain = torch.nn.Parameter(torch.ones(()))
    model.codec.decode = lambda x0: model.codec.gain * x0
    assert not generate(model, 1, config=Config(steps=1)).requires_grad


def test_every_step_of_every_batch_is_seen(model):
    told = []
    generate(model, 3, config=Config(steps=2), batch=2, watch=lambda ids, step: told.append((ids, len(step.z))))
    assert told == [(range(2), 2), (range(2), 2), (range(2, 3), 1), (range(2, 3), 1)]


def test_clipping_is_of_x0_at_every_step(model):
    def farthest(threshold):
        return max(
            step.x0.abs().max() for step in walk(model, range(1), SHAPE, Config(steps=4, threshold=threshold), seed=0)
        )

    assert farthest("static") <= 1 < farthest("none")
    assert farthest("dynamic") <= 1


def test_nan_is_said_with_its_step_and_level():
    """And not only NaN of the whole batch: one value of one sample is enough."""
    model = model_of()
    steps = iter([1.0, 1.0, float("nan"), 1.0])
    model.network.register_forward_hook(lambda network, inputs, F: torch.cat([F[:1], F[1:] * next(steps)]))
    level = Config(steps=4).grid_of(model.schedule)[2]
    with pytest.raises(NotFinite, match=f"step 3 of 4, from log-SNR {level:.2f}") as caught:
        generate(model, 2, config=Config(steps=4, threshold="none"))
    assert "\n" not in str(caught.value)


def test_a_grid_by_name_or_ones_own_levels(model):
    def reached(config):
        return [step.logsnr.item() for step in walk(model, range(1), SHAPE, config, seed=0)]

    assert reached(Config(steps=9, levels=(-6.0, -2.0, 1.0))) == [-2.0, 1.0, float("inf")]
    even = torch.tensor(reached(Config(steps=5, grid="logsnr"))[:-1]).diff()
    torch.testing.assert_close(even, even.mean().expand(3), rtol=0, atol=1e-4)
    assert reached(Config(steps=5, grid="karras")) != reached(Config(steps=5, grid="karras", rho=3.0))
    table = model_of(LinearBeta(steps=7))
    *walked, end = [step.logsnr for step in walk(table, range(1), SHAPE, Config(steps=7, grid="table"), seed=0)]
    torch.testing.assert_close(torch.stack(walked), table.schedule.table.flip(0)[1:].float())
    assert end == float("inf")


@samplers
def test_the_evaluations_made_are_those_declared(model, sampler):
    """Mistake 25, from the outside; one that goes by its error declares none."""
    seen = []
    handle = model.network.register_forward_hook(lambda network, inputs, F: seen.append(len(F)))
    generate(model, 3, config=few_steps_of(sampler), batch=2)
    handle.remove()
    declared = few_steps_of(sampler).nfe
    assert sum(seen) == 3 * declared if declared is not None else sum(seen) > 3 * 4


def test_options_change_what_is_declared():
    assert Config(sampler="langevin", steps=5).nfe == 9
    assert Config(sampler="langevin", steps=5, options={"corrections": 3}).nfe == 17
    assert Config(sampler="langevin", steps=5, options={"predictor": "heun"}).nfe == 13


def test_signal_at_the_end_is_warned_of():
    assert warnings(Diffusion(), Config()) == []
    assert "dB" in warnings(Diffusion(schedule=LinearBeta(steps=300, scale=False)), Config())[0]
    (steep,) = warnings(Diffusion(), Config(sampler="heun", steps=16))
    assert "use grid=karras" in steep
    assert warnings(Diffusion(), Config(sampler="heun", steps=32, grid="karras")) == []
    assert warnings(Diffusion(), Config(sampler="unipc", steps=16)) == []
    assert "multiplies" in warnings(Diffusion(prediction="eps"), Config(threshold="none"))[0]


def test_levels_that_begin_where_data_still_show_are_warned_of():
    assert warnings(Diffusion(), Config(levels=(-6.95, 0.0))) == []
    (late,) = warnings(Diffusion(), Config(levels=(3.0, 5.0)))
    assert "log-SNR 3," in late and "begin at -6.9 or below" in late


def test_a_sampler_of_the_users_own_goes_by_dotted_path(model, tmp_path, monkeypatch):
    """It is deterministic and so takes no noise."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "one_step.py").write_text(
        "from filmgrain.samplers import Step\n"
        "def nfe(steps): return steps\n"
        "def sample(denoiser, z, levels, cond, *, gain=1.0):\n"
        "    yield Step(levels[-1], gain * denoiser(z, levels[:1].expand(len(z)), cond).detach(), z)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        x = generate(model, 1, config=Config(sampler="mine.one_step", options={"gain": 0.0}))
        assert torch.equal(x, torch.zeros(1, *SHAPE))
    finally:
        for name in ("mine", "mine.one_step"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Config(sampler="ancestrall"), 'did you mean "ancestral"'),
        (lambda: Config(sampler="nowhere.mine"), "cannot be imported"),
        (lambda: Config(sampler="os.path"), "is no sampler: it has no sample and no nfe"),
        (lambda: Config(sampler="ancestral", options={"gamma": 3.0}), "gamma=3.0"),
        (lambda: Config(steps=0), "steps=0"),
        (lambda: Config(fps=0), "fps=0"),
        (lambda: Config(grid="karas"), 'did you mean "karras"'),
        (lambda: Config(threshold="clip"), 'threshold="clip" is unknown'),
        (lambda: Config(levels=(3.0, 1.0)), "do not rise"),
        (lambda: Config(rho=-1.0), "rho=-1.0"),
        (lambda: Config(sampler="langevin", options={"predictor": "unipc"}), "cannot be called for one step at a time"),
        (lambda: Config(sampler="langevin", options={"predictor": "heunn"}), 'did you mean "heun"'),
        (lambda: Config(sampler="ddpm", options={"variance": 1}), "is int; expected str"),
        (lambda: Config(sampler="ddim", options={"eta": "much"}), "is str; expected float"),
        (lambda: generate(model_of(), 1, config=Config(grid="table")), "which Cosine has not"),
        (lambda: Config(sampler="ddim", options={"gamma": 0.3}), 'no option "gamma"; it has eta'),
        (lambda: Config(sampler="ddim", options={"noise": 1.0}), 'no option "noise"'),
        (lambda: generate(model_of(), 0), "count=0"),
        (lambda: generate(model_of(), 1, batch=0), "batch=0"),
        (lambda: generate(model_of(LinearBeta(steps=7)), 1, config=Config(steps=8)), "more than the 7 levels"),
        (lambda: generate(model_of(), 1, config=Config(steps=1, options={"eta": 3.0})), "eta=3.0"),
        (lambda: save_video(torch.zeros(SHAPE), "clip.avi"), "saved as .gif or .mp4"),
        (lambda: Diffusion(prediction="velocity"), 'prediction="velocity"'),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_a_model_of_a_table_samples_its_whole_chain():
    model = model_of(LinearBeta(steps=7))
    seen = []
    for step in walk(model, range(1), SHAPE, Config(sampler="ancestral", steps=7), seed=0):
        seen.append(step.logsnr.item())
    assert seen[:-1] == model.schedule.table.flip(0).float()[1:].tolist()


def test_bytes_have_channels_last():
    x = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1, 1).expand(2, 3, 4, 5, 6)
    frames = to_uint8(x)
    assert frames.shape == (2, 4, 5, 6, 3) and frames.dtype == torch.uint8
    assert frames[0, 0, 0, 0].tolist() == [0, 128, 255]
    assert to_uint8(x[0]).shape == (4, 5, 6, 3)


def test_guidance_is_as_configured(model):
    """Mistake 12: no null label, so no guidance. The reference is the model of which nothing is said."""
    outer = guided(model, Config(scale=3.0, rescale=0.5, interval=(-3.0, 5.0)), model.null(2))
    assert isinstance(outer, Interval) and (outer.low, outer.high) == (-3.0, 5.0) and outer.plain is model
    assert isinstance(outer.guided, Rescale) and outer.guided.phi == 0.5
    free = outer.guided.guided
    assert free.scale == 3.0 and free.denoiser is model and free.doubled
    assert isinstance(free.reference, Always) and free.reference.denoiser is model
    assert free.reference.cond == model.null(2)
    assert guided(model, Config(scale=1.0, rescale=0.5), model.null(2)) is model
