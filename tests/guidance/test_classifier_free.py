"""Guidance by extrapolation: classifier-free, negative, doubled, autoguidance; in an interval; rescaled."""

import pytest
import torch
from guided_toys import Toy, batch

from filmgrain.diffusion.cond import Cond, stack
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.guidance.classifier_free import Always, ClassifierFree
from filmgrain.guidance.interval import Interval
from filmgrain.guidance.rescale import Rescale

NULL = Cond(vector=torch.zeros(1, 2))
NEGATIVE = Cond(vector=torch.tensor([[2.0, -1.0]]))


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.5])
def test_it_is_the_papers_equation_in_eps(scale):
    """Ho & Salimans 2022, eq. 6, with w = scale - 1: (1 + w) eps(z, c) - w eps(z)."""
    toy, (z, logsnr, cond) = Toy("eps"), batch(dtype=torch.float64)
    w = scale - 1
    eps = (1 + w) * toy.network(z, logsnr, cond) - w * toy.network(z, logsnr, NULL.expand(2))
    a, s = alpha_sigma(logsnr, z)
    guided = ClassifierFree(toy, Always(toy, NULL), scale)(z, logsnr, cond)
    torch.testing.assert_close(guided, (z - s * eps) / a, rtol=0, atol=1e-12)


@pytest.mark.parametrize("prediction", ["eps", "x0", "v", "flow"])
def test_guiding_the_networks_output_is_guiding_x0(prediction):
    toy, (z, logsnr, cond) = Toy(prediction), batch()
    F, reference = toy.network(z, logsnr, cond), toy.network(z, logsnr, NULL.expand(2))
    expected = toy.prediction.to_x0(reference + 3 * (F - reference), z, *alpha_sigma(logsnr, z))
    guided = ClassifierFree(toy, Always(toy, NULL), 3.0)(z, logsnr, cond)
    torch.testing.assert_close(guided, expected, rtol=0, atol=2e-6)


def test_scale_1_is_no_guidance_and_no_second_call():
    toy, given = Toy(), batch()
    assert torch.equal(ClassifierFree(toy, Always(toy, NULL), 1.0)(*given), Toy()(*given))
    assert toy.calls == [2]


def test_a_negative_condition_is_what_it_goes_away_from():
    toy, (z, logsnr, cond) = Toy(), batch()
    guided = ClassifierFree(toy, Always(toy, NEGATIVE), 2.0)(z, logsnr, cond)
    torch.testing.assert_close(guided, 2 * toy(z, logsnr, cond) - toy(z, logsnr, NEGATIVE.expand(2)))


def test_autoguidance_goes_away_from_a_weaker_model_under_the_same_condition():
    good, weak, given = Toy(seed=0), Toy(seed=1), batch()
    guided = ClassifierFree(good, weak, 2.0)(*given)
    torch.testing.assert_close(guided, good(*given) + (good(*given) - weak(*given)))


@pytest.mark.parametrize("reference", [NULL, NEGATIVE])
def test_a_doubled_batch_is_one_call_with_the_same_numbers(reference):
    once, twice, given = Toy(), Toy(), batch(3)
    doubled = ClassifierFree(once, Always(once, reference), 4.0, doubled=True)(*given)
    torch.testing.assert_close(doubled, ClassifierFree(twice, Always(twice, reference), 4.0)(*given), rtol=0, atol=1e-6)
    assert (once.calls, twice.calls) == ([6], [3, 3])


def test_a_doubled_batch_may_have_conditions_of_unequal_lengths():
    def reader(z, logsnr, cond):
        real = cond.token_mask if cond.token_mask is not None else torch.ones(cond.tokens.shape[:2], dtype=torch.bool)
        return z * (cond.tokens.mean(2) * real).sum(1)[:, None] / real.sum(1)[:, None]

    z, logsnr = torch.randn(2, 4), torch.zeros(2)
    long, short = Cond(tokens=torch.randn(2, 7, 3)), Cond(tokens=torch.randn(1, 2, 3))
    for cond, other in ((long, short), (short, long)):
        two, one = (ClassifierFree(reader, Always(reader, other), 3.0, doubled=doubled) for doubled in (False, True))
        torch.testing.assert_close(one(z, logsnr, cond.expand(2)), two(z, logsnr, cond.expand(2)))


def test_doubling_needs_one_denoiser_under_two_conditions():
    toy = Toy()
    for reference in (Toy(seed=1), Always(Toy(), NULL)):
        with pytest.raises(ValueError, match="doubled=True needs") as caught:
            ClassifierFree(toy, reference, 2.0, doubled=True)
        assert "\n" not in str(caught.value)


def test_a_condition_of_another_batch_is_refused():
    with pytest.raises(ValueError, match="condition is of 2 samples, z of 3") as caught:
        Always(Toy(), stack([NULL, NEGATIVE]))(*batch(3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "calls"), [(-2.0, 2.0, (1, 0)), (1.5, 2.0, (0, 1)), (-5.0, -1.5, (0, 1)), (0.0, 2.0, (1, 1))]
)
def test_an_interval_asks_only_those_that_it_needs(low, high, calls):
    """logsnr is (-1, 1): all within, none, and a batch of which one sample is."""
    guided, plain, (z, logsnr, cond) = Toy(seed=0), Toy(seed=1), batch()
    x0 = Interval(guided, plain, low=low, high=high)(z, logsnr, cond)
    assert (len(guided.calls), len(plain.calls)) == calls
    for i, level in enumerate(logsnr.tolist()):
        expected = guided if low <= level <= high else plain
        assert torch.equal(x0[i], expected(z, logsnr, cond)[i])


def test_an_interval_holds_its_ends_and_is_everything_by_default():
    guided, plain, given = Toy(seed=0), Toy(seed=1), batch()
    for interval in (Interval(guided, plain, low=-1.0, high=1.0), Interval(guided, plain)):
        assert torch.equal(interval(*given), guided(*given)) and plain.calls == []
    with pytest.raises(ValueError, match=r"low=2.0 .* above high=1.0"):
        Interval(guided, plain, low=2.0, high=1.0)


@pytest.mark.parametrize("phi", [0.0, 0.7, 1.0])
def test_rescaling_takes_the_spread_back(phi):
    """phi = 1 gives each sample the spread that it had unguided; the direction from the mean of 0 is kept."""
    toy, given = Toy(), batch(3)
    guided = ClassifierFree(toy, Always(toy, NULL), 6.0)
    plain, wide, x0 = toy(*given), guided(*given), Rescale(guided, phi)(*given)
    for i in range(3):
        spread = phi * plain[i].std() + (1 - phi) * wide[i].std()
        torch.testing.assert_close(x0[i].std(), spread)
        torch.testing.assert_close(x0[i] / x0[i].std(), wide[i] / wide[i].std())
    assert (wide.flatten(1).std(1) > 1.05 * plain.flatten(1).std(1)).all()  # there was something to take back


def test_rescaling_costs_no_call():
    toy, given = Toy(), batch()
    Rescale(ClassifierFree(toy, Always(toy, NULL), 6.0))(*given)
    assert toy.calls == [2, 2]
    unguided = Rescale(ClassifierFree(toy, Always(toy, NULL), 1.0))(*given)
    assert toy.calls == [2, 2, 2] and torch.equal(unguided, toy(*given))


def test_an_even_estimate_is_left_alone():
    """As a network gives whose output is still zero; and a sample of one value, which has no spread."""
    for shape in ((2, 3, 4, 4), (2, 1)):
        z, logsnr = torch.ones(shape), torch.zeros(2)
        guided = ClassifierFree(lambda z, logsnr, cond: z / 2, lambda z, logsnr, cond: z / 4, 3.0)
        assert torch.equal(Rescale(guided, 0.7)(z, logsnr, Cond()), guided(z, logsnr, Cond()))


@pytest.mark.parametrize("phi", [-0.1, 1.1])
def test_phi_is_a_share(phi):
    with pytest.raises(ValueError, match=f"phi={phi}"):
        Rescale(ClassifierFree(Toy(), Toy(), 2.0), phi)
