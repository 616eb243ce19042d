"""Positions in time and noise levels: identities of their formulas."""

import math

import pytest
import torch

from filmgrain.blocks.embedding import LevelEmbedding, RelativePosition, noise_position, rotary, rotate, sinusoid

CPU = torch.device("cpu")


def t5_bucket(relative: int, buckets: int, max_distance: int) -> int:
    """Raffel et al. 2020, sec. 2.1, as their code has it: key minus query, in both directions."""
    buckets //= 2
    offset = buckets if relative > 0 else 0
    distance, exact = abs(relative), buckets // 2
    if distance < exact:
        return offset + distance
    far = exact + int(math.log(distance / exact) / math.log(max_distance / exact) * (buckets - exact))
    return offset + min(far, buckets - 1)


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 32), (32, 128), (8, 10)])
def test_buckets_are_those_of_t5(buckets, max_distance):
    # At a power of two a float32 logarithm may fall to either side of the bucket's edge: those distances are left out.
    edges = {2**k for k in range(3, 8)}
    relative = [n for n in range(-100, 101) if abs(n) not in edges]
    found = RelativePosition(2, buckets, max_distance).bucket(torch.tensor(relative)[None])[0]
    assert found.tolist() == [t5_bucket(n, buckets, max_distance) for n in relative]


def test_near_frames_have_a_bucket_each_and_far_ones_share_the_last():
    position = RelativePosition(1)
    assert position.bucket(torch.arange(-7, 8)).unique().numel() == 15
    assert position.bucket(torch.tensor([-32, -33, -1000])).tolist() == [15, 15, 15]
    assert position.bucket(torch.tensor([32, 33, 1000])).tolist() == [31, 31, 31]


def test_the_bias_depends_on_distance_and_direction_alone():
    position = RelativePosition(3)
    bias = position(6)  # head, frame of q, frame of k
    assert torch.equal(bias[:, 2, 3], position.bias.weight[16 + 1])  # one frame ahead
    assert torch.equal(bias[:, 3, 2], position.bias.weight[1])
    assert bias.shape == (3, 6, 6)
    assert torch.equal(bias[:, 1:, 1:], bias[:, :-1, :-1])
    assert not torch.equal(bias, bias.transpose(1, 2))


def test_rotation_keeps_the_norm_of_every_pair_and_the_rest_as_it_is():
    x = torch.randn(2, 3, 7, 40)
    turned = rotate(x, rotary(7, 40, CPU))
    assert torch.allclose(
        turned[..., :32].unflatten(-1, (16, 2)).norm(dim=-1), x[..., :32].unflatten(-1, (16, 2)).norm(dim=-1)
    )
    assert torch.equal(turned[..., 32:], x[..., 32:])
    assert torch.equal(turned[:, :, 0], x[:, :, 0])  # frame 0 is at angle 0
    assert not torch.allclose(turned[:, :, 1], x[:, :, 1])


def test_products_of_rotated_vectors_depend_on_their_distance_alone():
    q, k = torch.randn(2, 1, 32, dtype=torch.float64).expand(2, 9, 32)  # one vector at nine frames
    turn = rotary(9, 32, CPU)
    products = rotate(q, turn) @ rotate(k, turn).T
    for distance in range(-8, 9):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5)
    assert products[0].std() > 0.1


def test_noise_position_runs_from_data_to_noise():
    position = noise_position(torch.tensor([torch.inf, 0.0, -torch.inf]))
    assert torch.allclose(position, torch.tensor([0.0, 500.0, 1000.0]))
    assert (noise_position(torch.linspace(-15, 15, 100)).diff() < 0).all()


def test_sinusoids_are_unit_circles_from_frequency_1_to_a_ten_thousandth():
    position = torch.tensor([0.0, 0.5, 700.0])
    sines, cosines = sinusoid(position, 16).chunk(2, dim=1)
    assert torch.allclose(sines**2 + cosines**2, torch.ones(3, 8))
    assert torch.allclose(sines[:, 0], position.sin()) and torch.allclose(sines[:, -1], (position / 10000).sin())


def test_without_a_shift_frequencies_stop_one_short_of_a_ten_thousandth():
    position = torch.tensor([1.0, 700.0])
    sines, _ = sinusoid(position, 16, shift=0).chunk(2, dim=1)
    longer, _ = sinusoid(position, 18).chunk(2, dim=1)  # nine frequencies that reach it
    assert torch.allclose(sines, longer[:, :8]) and not torch.allclose(sinusoid(position, 16)[:, :8], sines)


def test_a_condition_is_joined_to_the_level():
    embed, vector = LevelEmbedding(8), torch.randn(2, 5)
    level = embed(torch.tensor([1.0, 2.0]), vector)
    assert level.shape == (2, 37) and torch.equal(level[:, 32:], vector)
