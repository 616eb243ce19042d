"""The 2D U-Net's own promises: what a new one puts out, its doors, where it attends, its padding and its patches."""

import pytest
import torch

from filmgrain.blocks.attention import CrossAttention, SpatialAttention
from filmgrain.diffusion.cond import Cond
from filmgrain.networks.unet2d import Config, Network

SMALL = {"width": 16, "mults": (1, 2), "attention": (1,), "groups": 4, "head_width": 8, "blocks": 1}


def small(**changes) -> Network:
    """Of which every layer acts: what begins at zero does not."""
    torch.manual_seed(0)
    network = Network(Config(**(SMALL | changes))).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network


def test_count_of_the_defaults():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Network(Config()).parameters()) == 39_625_603


@torch.no_grad()
def test_a_new_network_puts_out_zero_and_its_stages_their_input():
    network, h = Network(Config(**SMALL, tokens=6)), torch.randn(2, 32, 4, 4)
    cond = Cond(tokens=torch.randn(2, 3, 6))
    assert not network(torch.randn(2, 3, 8, 8), torch.zeros(2), cond).any()
    assert torch.equal(network.body.middle[0](h, torch.randn(2, 64), cond), h)


def test_it_attends_where_it_is_told_and_in_the_middle():
    def attends(network, kind=SpatialAttention):
        stages = [*network.body.downs, *network.body.middle, *network.body.ups]
        return [any(isinstance(module, kind) for module in stage.modules()) for stage in stages]

    #                                  level 0, half, level 1, middle, middle, level 1 twice, double, level 0 twice
    assert attends(small()) == [False, False, True, True, False, True, True, False, False, False]
    assert attends(small(attention=())) == [False, False, False, True, False, False, False, False, False, False]
    assert attends(small(), CrossAttention) == [False] * 10
    assert attends(small(tokens=6), CrossAttention) == attends(small())


@pytest.mark.parametrize("mask", [None, torch.tensor([[True, True, True], [True, False, False]])])
@torch.no_grad()
def test_masked_tokens_are_as_if_they_were_not_there(mask):
    network, z, level = small(tokens=6), torch.randn(2, 3, 8, 8), torch.zeros(2)
    tokens = torch.randn(2, 3, 6)
    together = network(z, level, Cond(tokens=tokens, token_mask=mask))
    alone = network(z[1:], level[1:], Cond(tokens=tokens[1:, : 3 if mask is None else 1]))
    assert torch.allclose(together[1:], alone, atol=1e-5)
    other = network(z, level, Cond(tokens=-tokens, token_mask=mask))
    assert (together - other).abs().amax((1, 2, 3)).min() > 1e-3


@torch.no_grad()
def test_a_sample_whose_tokens_are_all_masked_has_a_finite_result():
    network, z, level = small(tokens=6), torch.randn(1, 3, 8, 8), torch.zeros(1)
    none = torch.zeros(1, 3, dtype=torch.bool)
    one, other = (network(z, level, Cond(tokens=torch.randn(1, 3, 6), token_mask=none)) for _ in range(2))
    assert one.isfinite().all() and torch.equal(one, other)


@torch.no_grad()
def test_the_vector_enters_every_residual_block():
    network, z, level = small(condition=5), torch.randn(1, 3, 8, 8), torch.zeros(1)
    seen: list[list[torch.Tensor]] = []
    blocks = [module for module in network.modules() if hasattr(module, "modulation")]
    assert len(blocks) == 8
    for block in blocks:
        block.modulation.register_forward_hook(lambda module, args, out: seen[-1].append(out))
    for _ in range(2):
        seen.append([])
        network(z, level, Cond(vector=torch.randn(1, 5)))
    assert all((one - other).abs().max() > 1e-2 for one, other in zip(*seen, strict=True))


@torch.no_grad()
def test_maps_are_seen_where_they_lie():
    network, z, maps = small(maps=1, attention=()), torch.randn(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    first = []
    network.first.register_forward_hook(lambda module, args, out: first.append(out))
    for value in (0.0, 1.0):
        maps[..., 5, 9] = value
        network(z, torch.zeros(1), Cond(maps=maps))
    changed = (first[0] - first[1]).abs().sum((0, 1)) > 1e-6
    assert changed[4:7, 8:11].all() and changed.sum() == 9


@torch.no_grad()
def test_sizes_that_do_not_divide_are_padded_by_their_edges_and_cropped():
    network, level = small(mults=(1, 2, 2), maps=1), torch.zeros(1)
    both = torch.randn(1, 4, 6, 8)  # z and maps; two halvings: a row more above and below, no column
    padded = torch.cat([both[..., :1, :], both, both[..., -1:, :]], dim=-2)
    out, whole = (network(x[:, :3], level, Cond(maps=x[:, 3:])) for x in (both, padded))
    assert torch.equal(out, whole[..., 1:7, :])


@torch.no_grad()
def test_patches_cost_a_quarter_and_keep_the_shape():
    network, z = small(patch=2, maps=1), torch.randn(1, 3, 10, 7)
    assert network.first.in_channels == 16 and network.out.out_channels == 12
    seen = []
    network.first.register_forward_hook(lambda module, args, out: seen.append(out.shape[-2:]))
    assert network(z, torch.zeros(1), Cond(maps=torch.randn(1, 1, 10, 7))).shape == z.shape
    assert seen == [(6, 4)]  # of 12 x 8, the next multiple of 2 x 2


@torch.no_grad()
def test_steps_are_taken_as_they_are():
    """A step s stands for the noise level whose sinusoid it is: s = 1000 (2 / pi) atan(e^(-logsnr / 2))."""
    by_step, by_level = small(steps=True), small()
    assert by_step.takes_steps and by_step.config.takes_steps and not by_level.takes_steps
    z, logsnr = torch.randn(1, 3, 8, 8), torch.zeros(1)
    assert torch.allclose(by_step(z, torch.tensor([500]), Cond()), by_level(z, logsnr, Cond()), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mults": (1, 2)}, r"attention=\(2, 3\) names level 2; mults gives 2, counted from 0"),
        ({"width": 20}, "groups=8 does not divide width=20; use groups=4"),
        ({"width": 3, "groups": 1, "head_width": 3}, "width=3 is too small or odd; use 4"),
        ({"width": 16}, "head_width=32 does not divide the 16 channels of level 3; use 16"),
        ({"head_width": -1}, "head_width=-1 is negative"),
        ({"modulation": "scale"}, 'modulation="scale" is unknown; use "film" or "add"'),
        ({"shift": 2}, "shift=2 of the frequencies is not 0 or 1"),
        ({"eps": 0.0}, "eps=0.0 is not a small positive number"),
        ({"patch": 0}, "patch=0 is not positive"),
        ({"tokens": -1}, "tokens=-1 is negative"),
        ({"dropout": -0.1}, "dropout=-0.1 is not a part"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**({"mults": (1, 2, 2, 1)} | settings))
    assert "\n" not in str(error.value)
