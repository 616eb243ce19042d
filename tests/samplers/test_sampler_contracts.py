"""What every sampler keeps to. A new file in samplers/ is tested here without being listed."""

import inspect
import math

import pytest
import torch

from filmgrain import rooms
from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.diffusion.schedules import Cosine

NAMES = rooms.names("samplers")
samplers = pytest.mark.parametrize("sampler", [rooms.find("samplers", name) for name in NAMES], ids=NAMES)
CLIP = (3, 4, 6, 5)  # c f h w, not square


class Toy(torch.nn.Module):
    """A smooth denoiser that is neither linear nor constant, and records its calls."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.9))
        self.calls = []

    def forward(self, z, logsnr, cond):
        self.calls.append((z.clone(), logsnr.clone(), cond))
        a, s = alpha_sigma(logsnr, z)
        return torch.tanh(self.gain * a * z + 0.1 * z.mean(dim=1, keepdim=True) * s)


def walk(sampler, denoiser, z, levels, *, seed=0, ids=None, cond=None, **options):
    """The steps of a walk, with noise where the sampler takes any."""
    if "noise" in inspect.signature(sampler.sample).parameters:
        options.setdefault("noise", Draw(seed, tuple(ids or range(len(z)))).noise)
    return sampler.sample(denoiser, z, levels, cond or Cond(), **options)


def start(ids, shape=CLIP):
    return Draw(0, tuple(ids)).normal("start", torch.empty(len(ids), *shape))


@samplers
def test_it_walks_the_levels_and_ends_at_x0(sampler):
    levels = grids.levels(Cosine(), 9)
    steps = list(walk(sampler, Toy(), start(range(2)), levels))
    assert torch.equal(torch.stack([step.logsnr for step in steps]), levels[1:])
    assert all(step.z.isfinite().all() and step.x0.isfinite().all() for step in steps)
    assert torch.equal(steps[-1].z, steps[-1].x0)


@samplers
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_it_makes_as_many_calls_as_it_declares(sampler, steps):
    """Mistake 25: network calls made are not those declared."""
    toy = Toy()
    list(walk(sampler, toy, start(range(2)), grids.levels(Cosine(), steps)))
    declared = sampler.nfe(steps)
    assert len(toy.calls) == declared or declared is None  # None: it chooses its steps itself


@samplers
def test_a_caller_who_stops_early_pays_for_no_more(sampler):
    toy = Toy()
    steps = walk(sampler, toy, start(range(1)), grids.levels(Cosine(), 50))
    assert toy.calls == []
    next(steps)
    after_one = len(toy.calls)
    list(steps)
    assert 1 <= after_one <= (3 if sampler.nfe(50) else len(toy.calls) / 10)


@samplers
def test_it_says_of_which_order_it_is_and_whether_it_remembers(sampler):
    noise = inspect.signature(sampler.sample).parameters.get("noise")
    stochastic = noise is not None and noise.default is noise.empty
    assert (sampler.ORDER is None) == stochastic
    assert stochastic or (type(sampler.ORDER) is int and sampler.ORDER >= 1)
    assert type(sampler.MULTISTEP) is bool


@samplers
def test_what_remembers_nothing_may_be_called_for_one_step_at_a_time(sampler):
    """As correctors do; see MULTISTEP."""
    if sampler.MULTISTEP:
        pytest.skip("it remembers earlier steps")
    z, levels, draw = start(range(2)), torch.cat([torch.linspace(-8, 3, 6), torch.tensor([math.inf])]), Draw(0, (0, 1))
    for i, whole in enumerate(walk(sampler, Toy(), z.clone(), levels)):
        noise = {"noise": lambda step, like, i=i: draw.noise(i + step, like)}
        takes_noise = "noise" in inspect.signature(sampler.sample).parameters
        ((_, z, _),) = sampler.sample(Toy(), z, levels[i : i + 2], Cond(), **(noise if takes_noise else {}))
        torch.testing.assert_close(z, whole.z, rtol=0, atol=1e-3 if sampler.nfe(1) is None else 1e-6)


@samplers
def test_float64_stays_float64(sampler):
    """Order is measured in it."""
    for step in walk(sampler, Toy(), start(range(2)).double(), grids.levels(Cosine(), 3).double()):
        assert step.z.dtype == step.x0.dtype == torch.float64


@samplers
def test_the_last_level_may_be_finite(sampler):
    levels = torch.linspace(-8, 3, 6)
    steps = list(walk(sampler, Toy(), start(range(2)), levels))
    assert steps[-1].logsnr == 3 and steps[-1].z.isfinite().all()
    assert not torch.equal(steps[-1].z, steps[-1].x0)


@samplers
def test_the_denoiser_is_given_a_level_for_each_sample_and_the_condition(sampler):
    toy, cond, levels = Toy(), Cond(vector=torch.ones(2, 3)), grids.levels(Cosine(), 4)
    list(walk(sampler, toy, start(range(2)), levels, cond=cond))
    assert all(logsnr.shape == (2,) and given is cond for _, logsnr, given in toy.calls)
    assert all(levels[0] <= level < math.inf for _, logsnr, _ in toy.calls for level in logsnr)
    assert torch.equal(toy.calls[0][1], levels[0].expand(2))


@samplers
def test_a_sample_is_the_same_alone_and_in_a_batch(sampler):
    """Mistake 24: samples whose noise depends on the batch size."""
    heard: dict[tuple, torch.Tensor] = {}

    def listening(ids):
        draw = Draw(3, ids)

        def noise(step, like):
            drawn = draw.noise(step, like)
            heard.update({(len(ids), step, n): drawn[i].clone() for i, n in enumerate(ids)})
            return drawn

        return {"noise": noise} if "noise" in inspect.signature(sampler.sample).parameters else {}

    levels, ids = grids.levels(Cosine(), 8), (0, 1, 2, 3)
    *_, batch = walk(sampler, Toy(), start(ids), levels, **listening(ids))
    for i in ids:
        *_, alone = walk(sampler, Toy(), start((i,)), levels, **listening((i,)))
        torch.testing.assert_close(alone.z[0], batch.z[i], rtol=0, atol=1e-4)
    for (size, step, n), drawn in heard.items():
        assert torch.equal(drawn, heard[(5 - size, step, n)])  # batches of 1 and of 4


@samplers
def test_the_same_seed_is_the_same_walk_and_the_input_is_left_alone(sampler):
    z, levels = start(range(2)), grids.levels(Cosine(), 6)
    before = z.clone()
    first, second = ([step.z for step in walk(sampler, Toy(), z, levels)] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(z, before)


@samplers
@pytest.mark.parametrize("shape", [(2,), (1, 5, 7), CLIP])
def test_images_and_videos_stay_in_float32_and_carry_no_graph(sampler, shape):
    for step in walk(sampler, Toy(), start(range(3), shape), grids.levels(Cosine(), 3)):
        for tensor in (step.z, step.x0):
            assert tensor.dtype == torch.float32 and tensor.shape == (3, *shape) and not tensor.requires_grad


@samplers
def test_its_options_are_keywords_with_defaults(sampler):
    """So that users can set them, and a sampler runs without any."""
    parameters = list(inspect.signature(sampler.sample).parameters.values())
    assert [parameter.name for parameter in parameters[:4]] == ["denoiser", "z", "levels", "cond"]
    for parameter in parameters[4:]:
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.name == "noise" or parameter.default is not parameter.empty


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ancestral", {"gamma": 1.5}, "gamma=1.5"),
        ("ancestral", {"gamma": -0.1}, "gamma=-0.1"),
        ("ddim", {"eta": 2.0}, "eta=2.0"),
        ("ddim", {"eta": 0.5, "noise": None}, "no source of noise"),
        ("ddpm", {"variance": "learned"}, "fixedsmall, fixedlarge"),
        ("edm", {"s_churn": -1.0}, "s_churn=-1.0"),
        ("edm", {"s_min": 2.0, "s_max": 1.0}, "s_min <= s_max"),
        ("edm", {"s_noise": 0.0}, "s_noise=0.0"),
        ("dpmpp_2m_sde", {"eta": 1.5}, "eta=1.5"),
        ("unipc", {"order": 4}, "order=4"),
        ("unipc", {"order": 2.5}, "order=2.5"),
        ("unipc", {"variant": "bh3"}, "bh1, bh2"),
        ("rk45", {"rtol": -1e-3}, "rtol=-0.001"),
        ("rk45", {"atol": 0.0}, "atol=0.0"),
    ],
)
def test_an_option_out_of_range_is_refused_in_one_line(name, options, words):
    toy = Toy()
    with pytest.raises(ValueError, match=words) as caught:
        next(walk(rooms.find("samplers", name), toy, start(range(1)), grids.levels(Cosine(), 2), **options))
    assert "\n" not in str(caught.value) and toy.calls == []


def no_values(sampler):
    takes_noise = "noise" in inspect.signature(sampler.sample).parameters
    return {"noise": lambda step, like: torch.empty_like(like)} if takes_noise else {}


@samplers
def test_the_device_is_never_waited_for(sampler):
    """On the meta device no value is there to be asked for. What goes by its error cannot but ask."""
    if sampler.nfe(4) is None:
        pytest.skip("it goes by its error")
    levels, z = grids.levels(Cosine(), 4), start(range(2)).to("meta")
    seen = []

    def denoiser(z, logsnr, cond):
        seen.append(logsnr)
        return z

    for step in walk(sampler, denoiser, z, levels, **no_values(sampler)):
        assert step.z.device.type == step.x0.device.type == "meta"
    assert {logsnr.device.type for logsnr in seen} == {"meta"}
