"""The Fréchet distance and KID: closed forms, invariances, bias, and what is too little to measure."""

import pytest
import torch

from filmgrain.evaluate.distances import TooFew, frechet, frechet_of_moments, kid, moments


def cloud(seed, n, d, *, mean=0.0, scale=1.0):
    return mean + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(seed, d):
    half = cloud(seed, d, d)
    return half @ half.T + 0.1 * torch.eye(d)


def orthogonal(seed, d):
    return torch.linalg.qr(cloud(seed, d, d)).Q


def test_frechet_of_gaussians_that_commute_is_that_of_their_deviations():
    """|m - m'|^2 + sum (s - s')^2, in any basis."""
    d, basis = 6, orthogonal(0, 6)
    mean, other = cloud(1, 1, d)[0], cloud(2, 1, d)[0]
    s, t = cloud(3, 1, d)[0].abs(), cloud(4, 1, d)[0].abs()
    found = frechet_of_moments(mean, basis @ torch.diag(s**2) @ basis.T, other, basis @ torch.diag(t**2) @ basis.T)
    assert found == pytest.approx(float((mean - other).square().sum() + (s - t).square().sum()), rel=1e-12)


def test_frechet_of_gaussians_in_two_dimensions():
    """There, tr (S S')^(1/2) = sqrt(tr S S' + 2 sqrt(det S S')), whether they commute or not."""
    a, b, nothing = covariance(0, 2), covariance(1, 2), torch.zeros(2)
    root = ((a @ b).trace() + 2 * torch.linalg.det(a @ b).sqrt()).sqrt()
    expected = float(a.trace() + b.trace() - 2 * root)
    assert frechet_of_moments(nothing, a, nothing, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_is_a_distance_that_no_rotation_changes():
    a, b = cloud(0, 200, 5), cloud(1, 300, 5, mean=0.5, scale=2.0)
    q, shift = orthogonal(2, 5), cloud(3, 1, 5)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-10)
    assert frechet(a @ q + shift, b @ q + shift) == pytest.approx(frechet(a, b), rel=1e-10)
    assert frechet(3 * a, 3 * b) == pytest.approx(9 * frechet(a, b), rel=1e-10)
    assert abs(frechet(a, a)) < 1e-9
    assert frechet(a.flip(0), b) == pytest.approx(frechet(a, b), rel=1e-10)


def test_frechet_where_covariances_are_singular():
    """Features that are always 0, as after a ReLU, or copies of others: where the naive square root turns complex."""
    a, b = cloud(0, 400, 4), cloud(1, 400, 4, scale=1.5)
    wide = torch.cat([a, a[:, :2], torch.zeros(400, 3)], 1), torch.cat([b, b[:, :2], torch.zeros(400, 3)], 1)
    q = orthogonal(2, 9)
    assert frechet(*wide) == pytest.approx(frechet(wide[0] @ q, wide[1] @ q), rel=1e-6)
    assert abs(frechet(wide[0], wide[0])) < 1e-5


def test_moments_are_unbiased():
    mean, found = moments(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    assert mean.tolist() == [2, 4] and found.tolist() == [[2, 4], [4, 8]]


@pytest.mark.parametrize("sizes", [(16, 100), (100, 16)])
def test_frechet_of_one_batch_is_refused(sizes):
    """With no more images than features, it is a figure of n: here of clouds of one distribution, 15 times the truth
    that 4,000 of them come to."""
    n, m = sizes
    with pytest.raises(TooFew, match=r"16 \w+ in 16 features measures their number; use more than 16, better 160"):
        frechet(cloud(0, n, 16), cloud(1, m, 16))
    few = frechet_of_moments(*moments(cloud(0, 16, 16)), *moments(cloud(1, 16, 16)))
    assert few > 15 * frechet(cloud(0, 4000, 16), cloud(1, 4000, 16))


def test_kid_is_unbiased():
    """Its mean over many small clouds of one distribution is 0, within chance; with pairs i = j it is not."""
    found = torch.tensor([kid(cloud(2 * i, 20, 4), cloud(2 * i + 1, 30, 4)) for i in range(400)])
    error = float(found.std() / 20)
    assert abs(found.mean()) < 3 * error
    with_itself = float(((cloud(0, 1000, 4).square().sum(1) / 4 + 1) ** 3).mean()) / 20  # what the biased form adds
    assert error < with_itself / 10


def test_kid_of_a_shift_is_as_computed():
    """One dimension: k = (xy + 1)^3, so that MMD^2 = sum over p of C(3, p) (E x^p - E y^p)^2."""
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [4.0]])
    pairs = [(1, 0), (2, 0), (2, 1)]
    within_x = sum((x[i] * x[j] + 1) ** 3 for i, j in pairs) / 3
    across = sum((a * b + 1) ** 3 for a in x for b in y) / 6
    assert kid(x, y) == pytest.approx(float(within_x + 1 - 2 * across))
    wide = kid(cloud(0, 4000, 1, mean=0.5), cloud(1, 4000, 1))
    exact = 3 * 0.5**2 + 3 * (0.25) ** 2 + (3 * 0.5 + 0.125) ** 2
    assert wide == pytest.approx(exact, rel=0.1)


def test_kid_does_not_depend_on_how_it_is_cut(monkeypatch):
    a, b = cloud(0, 50, 3), cloud(1, 40, 3)
    whole = kid(a, b)
    monkeypatch.setattr("filmgrain.evaluate.distances.ROWS", 7)
    assert kid(a, b) == pytest.approx(whole, rel=1e-12) and kid(b, a) == pytest.approx(whole, rel=1e-12)


def test_float32_features_are_measured_in_float64():
    a, b = cloud(0, 300, 4, mean=100.0).float(), cloud(1, 300, 4, mean=100.0).float()
    assert frechet(a, b) == frechet(a.double(), b.double()) and kid(a, b) == kid(a.double(), b.double())


def test_kid_of_one_image_is_refused():
    with pytest.raises(TooFew, match="KID of 1 samples"):
        kid(cloud(0, 1, 4), cloud(1, 20, 4))
