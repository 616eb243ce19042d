"""The U-Net of denoising-diffusion-pytorch: its size, its formulas, its settings. Parity is in tests/interop."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.networks.ddp_unet import Config, FullAttention, LinearAttention, Network


def test_count_of_the_published_network():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Network(Config()).parameters()) == 35_711_491


def attention_inputs(kind):
    torch.manual_seed(0)
    layer, x = kind(6, 3, 5), torch.randn(2, 6, 4, 2)
    q, k, v = layer.qkv(x.flatten(2).mT).reshape(2, 8, 3, 3, 5).permute(2, 0, 3, 1, 4)  # b heads pixels features
    return layer, x, q, k, v


def put_out(layer, out):
    return layer.out(out.permute(0, 2, 1, 3).flatten(2)).mT.reshape(2, 6, 4, 2)


@torch.no_grad()
def test_full_attention_is_its_formula_over_pixels_and_memory():
    layer, x, q, k, v = attention_inputs(FullAttention)
    k, v = (torch.cat([memory.expand(2, -1, -1, -1), y], 2) for memory, y in zip(layer.memory, (k, v), strict=True))
    assert k.shape[2] == 4 + 8
    expected = torch.einsum("bhij,bhjd->bhid", (torch.einsum("bhid,bhjd->bhij", q, k) * 5**-0.5).softmax(-1), v)
    assert torch.allclose(layer(x), put_out(layer, expected), atol=1e-6)


@torch.no_grad()
def test_linear_attention_is_its_formula_over_pixels_and_memory():
    layer, x, q, k, v = attention_inputs(LinearAttention)
    k, v = (torch.cat([memory.mT.expand(2, -1, -1, -1), y], 2) for memory, y in zip(layer.memory, (k, v), strict=True))
    context = torch.einsum("bhnd,bhne->bhde", k.softmax(2), v)
    expected = torch.einsum("bhde,bhnd->bhne", context, q.softmax(-1) * 5**-0.5)
    assert torch.allclose(layer(x), layer.norm(put_out(layer, expected)), atol=1e-6)


def test_full_attention_is_where_it_is_told_and_in_the_middle():
    def full(**settings):
        network = Network(Config(width=8, mults=(1, 2, 2), heads=1, head_width=4, **settings))
        stages = [*network.downs, *network.ups]
        assert isinstance(network.middle.layer, FullAttention)
        return [isinstance(stage.attention.layer, FullAttention) for stage in stages]

    assert full(attention=(2,)) == [False, False, True, True, False, False]
    assert full(attention=(0,)) == [True, False, False, False, False, True]
    assert full(attention=()) == [False] * 6


@torch.no_grad()
def test_sizes_that_do_not_divide_are_padded_by_their_edges_and_cropped():
    network, step = Network(Config(width=8, mults=(1, 2, 2), attention=(2,))).eval(), torch.tensor([3.5])
    z = torch.randn(1, 3, 6, 8)
    padded = torch.cat([z[..., :1, :], z, z[..., -1:, :]], dim=-2)
    assert torch.equal(network(z, step, Cond()), network(padded, step, Cond())[..., 1:7, :])


@torch.no_grad()
def test_dropout_acts_in_training_alone():
    network, z = Network(Config(width=8, mults=(1,), attention=(), dropout=0.5)).eval(), torch.randn(1, 3, 8, 8)
    once, again = (network(z, torch.tensor([5]), Cond()) for _ in range(2))
    assert torch.equal(once, again)
    network.train()
    once, again = (network(z, torch.tensor([5]), Cond()) for _ in range(2))
    assert not torch.equal(once, again)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mults": (1, 2)}, r"attention=\(3,\) names level 3; mults gives 2, counted from 0"),
        ({"width": 5}, "width=5 is too small or odd; use 6"),
        ({"heads": 0}, "heads=0 is not positive"),
        ({"dropout": 1.0}, "dropout=1.0 is not a part"),
        ({"condition": -1}, "condition=-1 is negative"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**settings)
    assert "\n" not in str(error.value)
