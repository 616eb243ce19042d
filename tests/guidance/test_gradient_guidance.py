"""Guidance by gradients, on data for which the answer is known in closed form."""

import pytest
import torch
from guided_toys import Toy, batch
from torch.autograd.functional import jacobian

from filmgrain.analytic.gaussian import Gaussian
from filmgrain.analytic.mixture import Mixture
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.process import alpha, alpha_sigma, sigma
from filmgrain.guidance.classifier_gradient import ClassifierGradient
from filmgrain.guidance.covariance import Covariance, conjugate_gradients
from filmgrain.guidance.known import Known
from filmgrain.guidance.measurements import Blur, Downsample, Frames, Grey, Mask
from filmgrain.guidance.reconstruction import Reconstruction
from filmgrain.guidance.static_threshold import StaticThreshold

F64 = torch.float64
LEVELS = [-8.0, -2.0, 0.0, 1.5, 6.0]
CLASSES = Mixture(
    torch.tensor([0.2, 0.5, 0.3], dtype=F64),
    torch.tensor([[-1.0, 0.5], [0.8, 0.8], [0.3, -1.2]], dtype=F64),
    torch.tensor([0.3, 0.5, 0.2], dtype=F64),
)


def log_posterior(z, logsnr, cond):
    """log p(y | z) of the mixture's class y, whose one-hot is the condition's vector: by Bayes' rule."""
    level, y = logsnr[0], int(cond.vector[0].argmax())
    alone = Mixture(CLASSES.weights[[y]], CLASSES.means[[y]], CLASSES.stds[[y]])
    share = CLASSES.weights[y] / CLASSES.weights.sum()
    return share.log() + alone.log_density(z, level) - CLASSES.log_density(z, level)


def unconditional(z, logsnr, cond):
    return CLASSES(z, logsnr, Cond())


def at(level, shape=(5, 2), seed=0):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)
    return z, torch.full(shape[:1], level, dtype=F64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("y", [0, 1, 2])
def test_the_true_classifier_makes_the_class_conditional_denoiser(level, y):
    """E[x0 | z, y] = E[x0 | z] + (sigma^2 / alpha) grad log p(y | z), by Tweedie's formula on both sides."""
    (z, logsnr), cond = at(level), Cond(vector=torch.eye(3, dtype=F64)[[y]].expand(5, 3))
    guided = ClassifierGradient(unconditional, log_posterior)(z, logsnr, cond)
    torch.testing.assert_close(guided, CLASSES(z, logsnr, cond), rtol=0, atol=1e-10)
    assert (guided - CLASSES(z, logsnr, Cond())).abs().max() > 1e-3  # it had something to say


def test_the_classifiers_scale_is_a_power_of_its_probability():
    z, logsnr = at(0.5)
    cond = Cond(vector=torch.eye(3, dtype=F64)[[1]].expand(5, 3))
    plain, once, thrice = (
        ClassifierGradient(unconditional, log_posterior, s)(z, logsnr, cond) for s in (0.0, 1.0, 3.0)
    )
    torch.testing.assert_close(plain, CLASSES(z, logsnr, Cond()))
    torch.testing.assert_close(thrice - plain, 3 * (once - plain))


def correlated(n=12, seed=1):
    """A Gaussian with a mean and a full covariance."""
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=rng, dtype=F64) / n**0.5
    return Gaussian(torch.randn(n, generator=rng, dtype=F64), root @ root.T + 0.05 * torch.eye(n, dtype=F64))


def matrix(measure, shape):
    """A linear measurement as the matrix (y, x0)."""
    n = int(torch.tensor(shape).prod())
    return measure(torch.eye(n, dtype=F64).reshape(n, *shape)).flatten(1).T


MEASUREMENTS = {  # of x0 of the shape, all of 12 numbers
    "frames": (Frames((0, 3)), (1, 4, 1, 3)),
    "mask": (Mask(torch.arange(12).reshape(3, 2, 2) % 3 == 1), (3, 2, 2)),
    "downsample": (Downsample(2), (3, 2, 2)),
    "grey": (Grey(), (3, 1, 2, 2)),
    "blur": (Blur(0.6), (1, 3, 4)),
    "both": (lambda x0: Downsample(2)(Frames((0, 2))(x0)), (1, 3, 2, 2)),
}
measurements = pytest.mark.parametrize(("measure", "shape"), MEASUREMENTS.values(), ids=MEASUREMENTS)


@measurements
@pytest.mark.parametrize("level", LEVELS)
def test_reconstruction_is_its_closed_form_on_gaussian_data(level, measure, shape):
    """With J = dx0/dz = alpha C (alpha^2 C + sigma^2)^-1 the guided x0 is x0 + scale alpha J A^T (y - A x0)."""
    data, A = correlated(), matrix(measure, shape)
    (z, logsnr), y = at(level, (5, *shape)), measure(data.draw(1).reshape(1, *shape))
    a, s = alpha(logsnr[0]), sigma(logsnr[0])
    J = a * torch.linalg.inv(a**2 * data.covariance + s**2 * torch.eye(12, dtype=F64)) @ data.covariance
    x0 = data(z, logsnr, Cond()).flatten(1)
    expected = x0 + 2.5 * a * (y.flatten(1) - x0 @ A.T) @ A @ J
    guided = Reconstruction(data, measure, y, 2.5)(z, logsnr, Cond())
    torch.testing.assert_close(guided.flatten(1), expected, rtol=1e-9, atol=1e-11)


@measurements
@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_covariance_guidance_is_the_mean_given_the_measurement(level, noise, measure, shape):
    """Against Bayes' rule for x0 ~ N(m, C), z = alpha x0 + sigma eps and y = A x0 + noise, with no Jacobian in it."""
    data, A = correlated(), matrix(measure, shape)
    (z, logsnr), y = at(level, (5, *shape)), torch.randn(1, len(A), dtype=F64)
    a, s = alpha(logsnr[0]), sigma(logsnr[0])
    prior = torch.linalg.inv(data.covariance)
    precision = prior + a**2 / s**2 * torch.eye(12, dtype=F64) + A.T @ A / noise**2
    told = prior @ data.mean + a / s**2 * z.flatten(1) + y @ A / noise**2
    expected = torch.linalg.solve(precision, told.T).T
    known = y.reshape(1, *measure(z[:1]).shape[1:])
    guided = Covariance(data, measure, known, noise=noise, iterations=50, tolerance=1e-13)(z, logsnr, Cond())
    torch.testing.assert_close(guided.flatten(1), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("level", LEVELS)
def test_without_noise_it_is_the_exact_conditionals_denoiser(level):
    """Known frames of an AR(1) video: the rest is denoised as the conditional Gaussian is."""
    video = Gaussian.ar1(16, 0.95)
    mask = torch.arange(16) % 4 == 1
    x, (z, logsnr) = video.draw(5), at(level, (5, 16))
    guided = Covariance(video, Mask(mask), x[:, mask], noise=0.0, iterations=50, tolerance=1e-13)(z, logsnr, Cond())
    torch.testing.assert_close(guided[:, mask], x[:, mask], rtol=0, atol=1e-10)
    for i in range(5):
        exact = video.conditional(mask, x[i, mask])(z[i : i + 1, ~mask], logsnr[:1], Cond())
        torch.testing.assert_close(guided[i : i + 1, ~mask], exact, rtol=0, atol=1e-10)


def test_a_measurement_that_is_not_linear_is_replaced_by_its_tangent():
    data, (z, logsnr) = correlated(), at(0.0, (3, 12))

    def measure(x0):
        return x0[:, :4].tanh()

    y, x0 = measure(data.draw(3)), data(z, logsnr, Cond())
    A = torch.stack([jacobian(lambda x: measure(x[None])[0], x) for x in x0])
    J = jacobian(lambda z: data(z[None], logsnr[:1], Cond())[0], z[0])
    u = torch.linalg.solve(A @ J @ A.mT, (y - measure(x0))[..., None])
    guided = Covariance(data, measure, y, noise=0.0, iterations=20, tolerance=1e-13)(z, logsnr, Cond())
    torch.testing.assert_close(guided, x0 + (J @ A.mT @ u)[..., 0], rtol=0, atol=1e-10)


def test_conjugate_gradients_solve_each_sample_by_itself():
    """One of each kind in a batch: ordinary, nothing to do, singular, and not positive."""
    root = torch.randn(4, 6, 6, dtype=F64)
    K = root @ root.mT + 0.1 * torch.eye(6, dtype=F64)
    b = torch.randn(4, 6, dtype=F64)
    b[1] = 0
    K[2, 3:] = K[2, :, 3:] = b[2, 3:] = 0
    K[3] = -K[3]

    def solve(rows):
        return conjugate_gradients(lambda u: (K[rows] @ u[..., None])[..., 0], b[rows], 40, 1e-12)

    together = solve(slice(None))
    torch.testing.assert_close((K[:3] @ together[:3, :, None])[..., 0], b[:3], rtol=0, atol=1e-9)
    assert together[[1, 3]].abs().max() == 0
    for i in range(4):
        torch.testing.assert_close(solve([i]), together[[i]], rtol=0, atol=1e-9)


def test_conjugate_gradients_on_what_is_not_symmetric_are_no_worse_than_nothing():
    rng = torch.Generator().manual_seed(0)
    K, b = torch.randn(50, 6, 6, generator=rng, dtype=F64) + torch.eye(6, dtype=F64), torch.ones(50, 6, dtype=F64)
    for iterations in (1, 5, 50):
        u = conjugate_gradients(lambda u: (K @ u[..., None])[..., 0], b, iterations, 0.0)
        height = (u * (K @ u[..., None])[..., 0]).sum(1) / 2 - (b * u).sum(1)
        assert (height <= 0).all() and (height < 0).sum() > 25


def near(y):
    """A classifier that likes z whose small copy is y."""
    return lambda z, logsnr, cond: -(Downsample(2)(z) - y).square().flatten(1).sum(1)


GUIDED = {
    "reconstruction": lambda toy, y: Reconstruction(toy, Downsample(2), y, 3.0),
    "covariance": lambda toy, y: Covariance(toy, Downsample(2), y, noise=0.1, iterations=4),
    "classifier": lambda toy, y: ClassifierGradient(toy, near(y)),
}
guided = pytest.mark.parametrize("wrap", GUIDED.values(), ids=GUIDED)


@guided
def test_a_gradient_is_found_whatever_the_caller_turned_off(wrap):
    """Mistake 23: gradient guidance under inference mode."""
    toy, given = Toy(), batch()
    y = Downsample(2)(batch(seed=1)[0])
    expected = wrap(toy, y)(*given)
    assert (expected - toy(*given)).abs().max() > 1e-3
    with torch.no_grad():
        assert torch.equal(wrap(toy, y)(*given), expected)
    with torch.inference_mode():
        z, logsnr, cond = batch()  # inference tensors
        assert z.is_inference() and cond.vector.is_inference()
        assert torch.equal(wrap(toy, y.clone())(z, logsnr, cond), expected)


@guided
def test_no_graph_and_no_gradient_is_left_behind(wrap):
    toy, given = Toy(), batch()
    with torch.no_grad():
        x0 = wrap(toy, torch.zeros(1, 3, 2, 2, 3))(*given)
    assert not x0.requires_grad and not given[0].requires_grad
    assert all(parameter.grad is None for parameter in toy.network.parameters())


@guided
def test_a_sample_is_guided_as_it_is_alone(wrap):
    toy, (z, logsnr, cond) = Toy(), batch(3)
    together = wrap(toy, torch.zeros(1, 3, 2, 2, 3))(z, logsnr, cond)
    for i in range(3):
        alone = wrap(toy, torch.zeros(1, 3, 2, 2, 3))(z[[i]], logsnr[[i]], cond.each(lambda door, i=i: door[[i]]))
        torch.testing.assert_close(together[[i]], alone, rtol=0, atol=1e-5)


@guided
def test_gradient_guidance_inside_of_gradient_guidance_is_differentiated(wrap):
    """The gradient of the outer one runs through the inner one: its closed form is that of finite differences."""
    toy, (z, logsnr, cond) = Toy(), batch(dtype=F64)
    inner = wrap(toy, torch.zeros(1, 3, 2, 2, 3, dtype=F64))
    y, up = Frames((0,))(batch(seed=1, dtype=F64)[0]), torch.randn(z.shape, dtype=F64) * 1e-5

    def error(z):
        return (y - Frames((0,))(inner(z, logsnr, cond))).square().sum()

    a, _ = alpha_sigma(logsnr, z)
    grad = (inner(z, logsnr, cond) - Reconstruction(inner, Frames((0,)), y)(z, logsnr, cond)) * 2 / a
    torch.testing.assert_close((grad * up).sum(), (error(z + up) - error(z - up)) / 2, rtol=1e-4, atol=0)


def test_a_video_is_pulled_towards_what_was_measured():
    toy, (z, logsnr, cond) = Toy("x0"), batch()
    measure, y = Downsample(2), Downsample(2)(batch(seed=1)[0]).clamp(-1, 1)

    def error(denoiser):
        return (y - measure(denoiser(z, logsnr, cond))).square().mean()

    for nearer in (Reconstruction(toy, measure, y, 2.0), Covariance(toy, measure, y, noise=0.1)):
        assert error(nearer) < 0.8 * error(toy)


@torch.no_grad()
def blind(z, logsnr, cond):
    return z * 0.5


Y, SMALL = torch.zeros(1, 3, 2, 2, 3), Downsample(2)
WRONG = {
    "another shape": (
        lambda: Reconstruction(Toy(), SMALL, Y[..., :2]),
        r"is \(1, 3, 2, 2, 2\), .* is \(2, 3, 2, 2, 3\)",
    ),
    "another batch": (lambda: Covariance(Toy(), SMALL, Y.expand(3, 3, 2, 2, 3)), "must agree"),
    "one number": (lambda: Reconstruction(Toy(), lambda x0: x0.mean(), Y.mean()), "must agree"),
    "no gradient": (lambda: Reconstruction(blind, SMALL, Y), "does not depend on z"),
    "no classifier of z": (lambda: ClassifierGradient(Toy(), lambda z, level, cond: level), "does not depend on z"),
    "a classifier of all": (lambda: ClassifierGradient(Toy(), lambda z, level, cond: z.sum()), "each of 2 samples"),
    "noise below 0": (lambda: Covariance(Toy(), SMALL, Y, noise=-1.0), "noise=-1.0"),
    "no iteration": (lambda: Covariance(Toy(), SMALL, Y, iterations=0), "iterations=0"),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()(*batch())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrap", [GUIDED["reconstruction"], GUIDED["covariance"]], ids=["reconstruction", "covariance"])
def test_known_values_inside_are_refused(wrap):
    """x0 does not depend on z there, and the gradient would be zero without a word."""
    known = Known(Toy(), torch.zeros(()), torch.tensor(True))
    for inside in (known, StaticThreshold(known)):
        with pytest.raises(ValueError, match=r"around Known has no gradient .*; use Known\(\w+\(...\)\)") as caught:
            wrap(inside, Y)
        assert "\n" not in str(caught.value)
    Known(wrap(StaticThreshold(Toy()), Y), torch.zeros(()), torch.tensor(True))(*batch())
