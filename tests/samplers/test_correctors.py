"""Correctors, which call another sampler for one step at a time: Langevin's, and RePaint's resampling."""

import math
from itertools import pairwise

import pytest
import torch

from filmgrain import rooms
from filmgrain.analytic.gaussian import Gaussian
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, sigma
from filmgrain.guidance.known import Known
from filmgrain.samplers import ancestral, ddim, langevin, last, repaint

F64 = torch.float64
correctors = pytest.mark.parametrize("corrector", [langevin, repaint], ids=["langevin", "repaint"])
ONE_STEP = [name for name in rooms.names("samplers") if not rooms.find("samplers", name).MULTISTEP]
LEVELS = torch.tensor([-6.0, -3.0, -1.0, 1.0, 3.0, math.inf], dtype=F64)


class Counted:
    """A denoiser that counts its calls, and notes at which levels they were."""

    def __init__(self, denoiser):
        self.denoiser, self.levels = denoiser, []

    def __call__(self, z, logsnr, cond):
        self.levels.append(logsnr[0].item())
        return self.denoiser(z, logsnr, cond)


def random(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return lambda step, like: torch.randn(like.shape, generator=rng, dtype=like.dtype)


def silence(step, like):
    return torch.zeros_like(like)


DATA = Gaussian.isotropic(1, mean=0.4, std=0.6)


@pytest.mark.parametrize("predictor", ONE_STEP)
@pytest.mark.parametrize(
    ("corrector", "options"),
    [
        (langevin, {}),
        (langevin, {"corrections": 3}),
        (repaint, {}),
        (repaint, {"resamples": 4}),
        (repaint, {"resamples": 2, "jump": 2}),
        (repaint, {"resamples": 2, "jump": 50}),
        (repaint, {"resamples": 1, "jump": 3}),
    ],
)
def test_every_one_step_sampler_predicts_with_the_calls_declared(corrector, options, predictor):
    """Mistake 25. An adaptive predictor declares none, and nor does its corrector."""
    counted, z = Counted(DATA), torch.randn(2, 1, dtype=F64)
    steps = list(corrector.sample(counted, z, LEVELS, Cond(), noise=random(), predictor=predictor, **options))
    assert [step.logsnr.item() for step in steps] == LEVELS[1:].tolist()
    declared = corrector.nfe(5, predictor=predictor, **{k: v for k, v in options.items() if k != "jump"})
    assert (declared is None) == (rooms.find("samplers", predictor).nfe(5) is None)
    assert declared in (None, len(counted.levels))


def test_langevin_doubles_the_calls_of_a_sampler_of_one():
    assert [langevin.nfe(steps) for steps in (1, 2, 256)] == [1, 3, 511]
    assert langevin.nfe(10, corrections=3, predictor="heun") == 19 + 27


def test_repaint_makes_each_step_again_but_the_last():
    assert [repaint.nfe(steps, resamples=10) for steps in (1, 2, 250)] == [1, 11, 2491]
    assert repaint.nfe(3, resamples=4, predictor="heun") == 4 * 4 + 1


@correctors
def test_no_noise_is_drawn_twice(corrector):
    """The predictor's step 0 is drawn at every level, and must not be the same noise each time."""
    asked = []

    def noise(step, like):
        asked.append(step)
        return torch.zeros_like(like)

    list(corrector.sample(DATA, torch.zeros(1, 1, dtype=F64), LEVELS, Cond(), noise=noise))
    assert asked == list(range(len(asked))) and len(asked) >= 8


def after_one_correction(z, level, eps, delta, corrections=1):
    """A correction of exact marginals alone: a step of ddim that goes nowhere, then Langevin's."""
    levels = torch.tensor([level, level], dtype=F64)
    steps = langevin.sample(
        DATA, z, levels, Cond(), noise=lambda step, like: eps, predictor="ddim", delta=delta, corrections=corrections
    )
    return last(steps)


@pytest.mark.parametrize("level", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("delta", [0.1, 0.5])
def test_a_correction_is_the_equation(level, delta):
    """z - (delta / 2) sigma eps_hat + sqrt(delta) sigma eps, with sigma and eps_hat those of the level reached."""
    z, eps = torch.randn(3, 1, dtype=F64), torch.randn(3, 1, dtype=F64)
    levels = torch.tensor([level - 2, level], dtype=F64)
    options = {"noise": lambda step, like: eps, "predictor": "ddim", "delta": delta}
    corrected = last(langevin.sample(DATA, z, levels, Cond(), **options))
    z_s, s = last(ddim.sample(DATA, z, levels, Cond())), sigma(levels[1])
    eps_hat = (z_s - alpha(levels[1]) * DATA(z_s, levels[1].expand(3), Cond())) / s
    expected = z_s - delta / 2 * s * eps_hat + math.sqrt(delta) * s * eps
    torch.testing.assert_close(corrected, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("delta", [0.02, 0.1, 1.0])
def test_corrections_leave_the_marginal_up_to_delta(level, delta):
    """On N(alpha m, v) they are an autoregression, z - alpha m <- (1 - delta sigma^2 / 2v) (z - alpha m) + noise.

    It keeps the mean, adds delta^2 sigma^4 / 4v to the variance v in one step, and settles from wherever it starts at
    v / (1 - delta sigma^2 / 4v). Slope and noise are read off the sampler, which is linear here.
    """
    s2 = sigma(torch.tensor(level, dtype=F64)).item() ** 2
    (mean,), ((v,),) = (part.tolist() for part in DATA.marginal(level))
    one, zero = torch.ones(1, 1, dtype=F64), torch.zeros(1, 1, dtype=F64)
    slope = (after_one_correction(mean + one, level, zero, delta) - mean).item()
    added = (after_one_correction(mean + zero, level, one, delta) - mean).item() ** 2
    assert after_one_correction(mean + zero, level, zero, delta).item() == pytest.approx(mean)
    assert slope**2 * v + added == pytest.approx(v + delta**2 * s2**2 / (4 * v))
    settled = added / (1 - slope**2)
    assert settled == pytest.approx(v / (1 - delta * s2 / (4 * v)))
    assert settled / v - 1 < 0.35 * delta  # sigma^2 <= v, so delta / 4 and little more


@pytest.mark.parametrize("corrections", [1, 30, 120])
def test_corrections_heal_a_wrong_start(corrections):
    """The distance of the mean from where it should be shrinks as e^(-delta sigma^2 corrections / 2v)."""
    level, far = 0.0, torch.tensor([[5.0]], dtype=F64)
    (mean,), ((v,),) = (part.tolist() for part in DATA.marginal(level))
    left = (after_one_correction(far, level, torch.zeros_like(far), 0.1, corrections) - mean) / (far - mean)
    expected = math.exp(-0.1 * 0.5 * corrections / (2 * v))
    assert left.item() == pytest.approx(expected, rel=0.01 * corrections**0.5 + 0.1)


def test_a_walk_with_corrections_keeps_the_truth():
    z = torch.randn(40_000, 1, generator=torch.Generator().manual_seed(1), dtype=F64)
    levels = torch.cat([torch.linspace(-9, 9, 100, dtype=F64), torch.tensor([math.inf], dtype=F64)])
    x = last(langevin.sample(DATA, z, levels, Cond(), noise=random(), predictor_options={"gamma": 0.5}))
    assert x.mean().item() == pytest.approx(0.4, abs=0.015) and x.var().item() == pytest.approx(0.36, rel=0.05)


PAIR = Gaussian(torch.zeros(2, dtype=F64), torch.tensor([[1.0, 0.95], [0.95, 1.0]], dtype=F64))
FIRST = torch.tensor([True, False])


def mean_given_the_first(sample, **options):
    """The mean of the second of two correlated numbers, the first being 1. All is linear: noise has no part."""
    levels = torch.cat([torch.linspace(-9, 7, 41, dtype=F64), torch.tensor([math.inf], dtype=F64)])
    known = Known(PAIR, torch.ones(2, dtype=F64), FIRST)
    return last(sample(known, torch.zeros(1, 2, dtype=F64), levels, Cond(), noise=silence, **options))[0, 1].item()


@pytest.mark.parametrize("jump", [1, 4])
def test_resampling_tells_the_new_part_of_the_known(jump):
    """The exact mean is 0.95. Replacement alone ignores much of it; the more is done again, the nearer it comes."""
    alone = mean_given_the_first(ancestral.sample, gamma=0.0)
    again = [
        mean_given_the_first(repaint.sample, resamples=r, jump=jump, predictor_options={"gamma": 0.0})
        for r in (1, 3, 10, 30)
    ]
    assert again[0] == pytest.approx(alone, abs=1e-12)
    assert all(near < far for far, near in pairwise(0.95 - mean for mean in again))
    assert 0.95 - alone > 0.2 and 0 < 0.95 - again[-1] < 0.4 * (0.95 - alone)


def test_corrections_tell_the_new_part_of_the_known_as_well():
    alone = mean_given_the_first(ancestral.sample, gamma=0.0)
    corrected = [
        mean_given_the_first(langevin.sample, corrections=n, predictor_options={"gamma": 0.0}) for n in (1, 10, 100)
    ]
    assert all(near < far for far, near in pairwise(0.95 - mean for mean in [alone, *corrected]))
    assert 0 < 0.95 - corrected[-1] < 0.05


@pytest.mark.parametrize("jump", [1, 2, 3])
def test_going_back_up_is_the_forward_process(jump):
    """q(z_t | z_s) = N(k z_s, sigma_t^2 - k^2 sigma_s^2) with k = alpha_t / alpha_s, t being where the jump began."""
    levels, z = torch.linspace(-3, 2, 7, dtype=F64), torch.randn(4, 1, dtype=F64)
    eps, seen = torch.randn(4, 1, dtype=F64), []

    def denoiser(z, logsnr, cond):
        seen.append(z)
        return DATA(z, logsnr, cond)

    options = {"noise": lambda step, like: eps, "predictor": "ddim", "resamples": 2, "jump": jump}
    steps = list(repaint.sample(denoiser, z, levels, Cond(), **options))
    assert len(steps) == 6 and len(seen) == 12
    t, s = levels[0], levels[jump]
    z_s, shrink = last(ddim.sample(DATA, z, levels[: jump + 1], Cond())), alpha(t) / alpha(s)
    expected = shrink * z_s + (sigma(t) ** 2 - shrink**2 * sigma(s) ** 2).sqrt() * eps
    torch.testing.assert_close(seen[jump], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(steps[jump - 1].z, last(ddim.sample(DATA, expected, levels[: jump + 1], Cond())))


@correctors
def test_options_of_the_predictor_reach_it(corrector):
    z = torch.randn(2, 1, dtype=F64)
    plain = {"corrections": 1, "delta": 1e-30} if corrector is langevin else {"resamples": 1}
    ours = corrector.sample(
        DATA, z, LEVELS, Cond(), noise=silence, predictor="ddim", predictor_options={"eta": 0.7}, **plain
    )
    for mine, theirs in zip(ours, ddim.sample(DATA, z, LEVELS, Cond(), noise=silence, eta=0.7), strict=True):
        torch.testing.assert_close(mine.z, theirs.z, rtol=0, atol=1e-12)


WRONG = [
    (langevin, {"delta": 0.0}, "delta=0.0"),
    (langevin, {"delta": 1.5}, "delta=1.5"),
    (langevin, {"corrections": 0}, "corrections=0"),
    (repaint, {"resamples": 0}, "resamples=0"),
    (repaint, {"jump": 0}, "jump=0"),
    *(
        (corrector, options, words)
        for corrector in (langevin, repaint)
        for options, words in [
            ({"predictor": "dimm"}, 'did you mean "ddim"'),
            ({"predictor": "dpmpp_2m"}, "remembers earlier steps"),
            ({"predictor": "langevin"}, "is itself a corrector"),
            ({"predictor": "repaint"}, "is itself a corrector"),
            ({"predictor_options": {"eta": 1.0}}, 'ancestral has no option "eta"; it has gamma'),
            ({"predictor_options": {"gamma": 2.0}}, "gamma=2.0"),
        ]
    ),
]


@pytest.mark.parametrize(("corrector", "options", "words"), WRONG)
def test_what_is_wrong_is_said_in_one_line_before_any_call(corrector, options, words):
    counted = Counted(DATA)
    with pytest.raises(ValueError, match=words) as caught:
        next(corrector.sample(counted, torch.zeros(1, 1, dtype=F64), LEVELS, Cond(), noise=silence, **options))
    assert "\n" not in str(caught.value) and counted.levels == []
