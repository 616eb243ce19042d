"""The 3D U-Net's own promises: its size, its padding, its options, and that only temporal attention joins frames."""

import pytest
import torch

from filmgrain.blocks.attention import TemporalAttention
from filmgrain.blocks.embedding import places
from filmgrain.blocks.residual import ResidualBlock
from filmgrain.diffusion.cond import Cond
from filmgrain.networks.unet3d import Config, Network

SMALL = {"width": 16, "mults": (1, 2), "heads": 2, "head_width": 8}


def small(**changes) -> Network:
    torch.manual_seed(0)
    network = Network(Config(**(SMALL | changes))).eval()
    torch.nn.init.normal_(network.out.weight, std=0.1)
    return network


def count(config: Config) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Network(config).parameters())


def test_counts_of_the_published_network():
    assert count(Config()) == 35_706_243
    assert count(Config(condition=768)) == 41_801_859 - 768  # whose null vector is the conditioner's


def test_a_new_network_puts_out_zero():
    network = Network(Config(**SMALL))
    assert not network(torch.randn(1, 3, 2, 8, 8), torch.zeros(1), Cond()).any()


@torch.no_grad()
def test_sizes_that_do_not_divide_are_padded_by_their_edges_and_cropped():
    network, logsnr = small(mults=(1, 2, 2)), torch.zeros(1)
    z = torch.randn(1, 3, 2, 6, 8)  # two halvings: a row more above and below, no column
    padded = torch.cat([z[..., :1, :], z, z[..., -1:, :]], dim=-2)
    assert torch.equal(network(z, logsnr, Cond()), network(padded, logsnr, Cond())[..., 1:7, :])


@torch.no_grad()
def test_patches_cost_a_quarter_and_keep_the_shape():
    network, z = small(patch=2), torch.randn(1, 3, 2, 10, 7)
    assert network.first.in_channels == network.out.out_channels == 12
    seen = []
    network.first.register_forward_hook(lambda module, args, out: seen.append(out.shape[-2:]))
    assert network(z, torch.zeros(1), Cond()).shape == z.shape
    assert seen == [(6, 4)]  # of 12 x 8, the next multiple of 2 x 2


@torch.no_grad()
def test_a_patch_covers_neighbouring_pixels():
    network, z = small(patch=2), torch.zeros(1, 3, 1, 8, 8)
    network.first.weight.zero_()
    network.first.weight[:, :, 3, 3] = torch.eye(12).repeat(2, 1)[:16]  # passes each of the 12 inputs on
    features = []
    network.first.register_forward_hook(lambda module, args, out: features.append(out - module.bias[:, None, None]))
    z[0, 1, 0, 5, 2] = 1
    network(z, torch.zeros(1), Cond())
    assert features[0][0, :12].nonzero().tolist() == [
        [1 * 4 + 1 * 2 + 0, 2, 1]
    ]  # channel 1, row 1, column 0 of patch (2, 1)


@pytest.mark.parametrize(("made_for", "given"), [(5, 0), (0, 5), (5, 4)])
def test_a_condition_that_the_network_was_not_made_for_is_refused(made_for, given):
    cond = Cond(vector=torch.zeros(1, given) if given else None)
    with pytest.raises(ValueError, match=f"a vector of {given} features; .* condition={made_for}"):
        small(condition=made_for)(torch.randn(1, 3, 2, 8, 8), torch.zeros(1), cond)


@torch.no_grad()
def test_condition_enters_with_the_noise_level():
    network, z = small(condition=5), torch.randn(2, 3, 2, 8, 8)
    one, other = (network(z, torch.zeros(2), Cond(vector=torch.randn(2, 5))) for _ in range(2))
    assert (one - other).abs().max() > 1e-4


@torch.no_grad()
def test_steps_are_taken_as_they_are():
    """A step s stands for the noise level whose sinusoid it is: s = 1000 (2 / pi) atan(e^(-logsnr / 2))."""
    by_step, by_level = small(steps=True), small()
    z, logsnr = torch.randn(1, 3, 2, 8, 8), torch.zeros(1)
    assert torch.allclose(by_step(z, torch.tensor([500]), Cond()), by_level(z, logsnr, Cond()), atol=1e-5)


def between_frames(network: Network) -> torch.Tensor:
    """The largest |d out / d z| for each pair (frame of out, frame of z), along a random direction of out."""
    z = torch.randn(1, 3, 4, 8, 8, requires_grad=True)
    out = network(z, torch.zeros(1), Cond())
    rows = [
        torch.autograd.grad(frame.sum(), z, retain_graph=True)[0].abs().amax((0, 1, 3, 4)) for frame in out.unbind(2)
    ]
    return torch.stack(rows)


def still(network: Network) -> Network:
    """Its temporal attention put out of action."""
    for module in network.modules():
        if isinstance(module, TemporalAttention):
            torch.nn.init.zeros_(module.out.weight)
    return network


def test_temporal_attention_alone_joins_frames():
    assert (between_frames(small()) > 0).all()
    alone = between_frames(still(small()))
    assert torch.equal(alone != 0, torch.eye(4, dtype=torch.bool))


def test_group_norm_joins_frames_too():
    assert (between_frames(still(small(norm="group"))) > 0).all()


@torch.no_grad()
def test_frames_are_told_apart_by_their_order():
    network, z = small(), torch.randn(1, 3, 4, 8, 8)
    forwards, backwards = network(z, torch.zeros(1), Cond()), network(z.flip(2), torch.zeros(1), Cond()).flip(2)
    assert (forwards - backwards).abs().max() > 1e-4
    frozen = still(network)
    assert torch.allclose(
        frozen(z, torch.zeros(1), Cond()), frozen(z.flip(2), torch.zeros(1), Cond()).flip(2), atol=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "batch"}, 'norm="batch" is unknown; use "rms" or "group"'),
        ({"mults": ()}, r"mults=\(\) needs one positive number a level"),
        ({"mults": (1, 0)}, r"mults=\(1, 0\) needs one positive number a level"),
        ({"channels": 0}, "channels=0 is not positive"),
        ({"heads": -1}, "heads=-1 is not positive"),
        ({"heads": 0, "width": 24}, "heads=0 and head_width=32 do not fill 24 channels; use heads=8, or head_width=24"),
        ({"attention": (0, 4)}, r"attention=\(0, 4\) names level 4; mults gives 4, counted from 0"),
        ({"full_attention": True}, "linear_attention and full_attention are both true; set linear_attention=false"),
        ({"blocks": 0}, "blocks=0 is not positive"),
        ({"dropout": 1.0}, "dropout=1.0 is not a part of the features"),
        ({"level": "angel"}, 'level="angel" is unknown; use "angle" or "logsnr"'),
        ({"condition_layers": -1}, "condition_layers=-1 is negative"),
        ({"patch": 0}, "patch=0 is not positive"),
        ({"condition": -1}, "condition=-1 is negative"),
        ({"maps": -1}, "maps=-1 is negative"),
        ({"head_width": 5}, "head_width=5 is odd, .* use 6"),
        ({"width": 2}, "width=2 is too small .* use 4"),
        ({"width": 17}, "width=17 .* multiple of 2; use 18"),
        ({"width": 20, "norm": "group"}, "width=20 .* multiple of 8; use 24"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**settings)
    assert "\n" not in str(error.value)


def test_a_condition_by_a_door_that_it_has_not_is_refused():
    with pytest.raises(ValueError, match="has tokens, for which unet3d has no door"):
        small()(torch.randn(1, 3, 2, 8, 8), torch.zeros(1), Cond(tokens=torch.zeros(1, 4, 5)))
    with pytest.raises(ValueError, match="has maps of 1 features; the network was made for maps=0"):
        small()(torch.randn(1, 3, 2, 8, 8), torch.zeros(1), Cond(maps=torch.zeros(1, 1, 2, 8, 8)))


def test_maps_are_further_channels_of_each_frame():
    """What changes in the map of one frame is seen there first; an image's map is that of its one frame."""
    network, z, level = small(maps=1).eval(), torch.randn(1, 3, 2, 8, 8), torch.zeros(1)
    maps = torch.randn(1, 1, 2, 8, 8)
    changed = maps.clone()
    changed[:, :, 1, 4, 4] += 1
    seen = []
    handle = network.first.register_forward_hook(lambda module, inputs, h: seen.append(h))
    for given in (maps, changed):
        network(z, level, Cond(maps=given))
    handle.remove()
    assert torch.equal(seen[0][0], seen[1][0]) and not torch.equal(seen[0][1], seen[1][1])
    image = network(z[:, :, 0], level, Cond(maps=maps[:, :, 0]))
    assert torch.equal(image, network(z[:, :, :1], level, Cond(maps=maps[:, :, :1]))[:, :, 0])


def test_only_the_levels_that_are_named_attend_and_the_middle():
    network = small(mults=(1, 2, 2), attention=(1,), linear_attention=False, full_attention=True)
    kinds = {
        name: type(module).__name__ for name, module in network.named_modules() if "Attention" in str(type(module))
    }
    assert kinds == {
        "downs.1.spatial.layer": "SpatialAttention",
        "downs.1.temporal.layer": "TemporalAttention",
        "middle_spatial.layer": "SpatialAttention",
        "middle_temporal.layer": "TemporalAttention",
        "ups.1.spatial.layer": "SpatialAttention",
        "ups.1.temporal.layer": "TemporalAttention",
    }


def test_heads_of_a_width_fill_the_channels_of_each_level():
    network = small(mults=(1, 2), heads=0)
    layers = {name: module.heads for name, module in network.named_modules() if isinstance(module, TemporalAttention)}
    assert layers == {
        "first_temporal.layer": 2,
        "downs.0.temporal.layer": 2,
        "downs.1.temporal.layer": 4,
        "middle_temporal.layer": 4,
        "ups.0.temporal.layer": 2,  # of what it hands up, half of what comes to it
        "ups.1.temporal.layer": 2,
    }
    assert network.position.bias.num_embeddings == 32 and network.position.bias.embedding_dim == 4


def test_each_level_has_as_many_blocks_as_are_asked_for():
    def blocks(network: Network) -> int:
        return sum(isinstance(module, ResidualBlock) for module in network.modules())

    assert [blocks(small(blocks=count)) for count in (1, 2, 3)] == [4 + 3, 8 + 3, 12 + 3]


def test_noise_level_and_condition_go_through_their_mlp_together():
    network = small(condition=5, condition_layers=3, condition_width=24)
    widths = [(layer.in_features, layer.out_features) for layer in network.mlp if isinstance(layer, torch.nn.Linear)]
    assert widths == [(4 * 16 + 5, 24), (24, 24), (24, 24)]
    assert network.downs[0].block1.modulation.in_features == 24


@torch.no_grad()
def test_log_snr_is_embedded_evenly():
    network, z = small(level="logsnr"), torch.randn(1, 3, 2, 8, 8)
    seen = []
    network.level.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].item()))
    for logsnr in (20.0, 0.0, -20.0, -99.0):
        network(z, torch.tensor([logsnr]), Cond())
    assert seen == [0, 500, 1000, 1000]


@torch.no_grad()
def test_features_are_dropped_in_training_alone():
    network, z = small(dropout=0.5), torch.randn(1, 3, 2, 8, 8)
    assert torch.equal(*(network(z, torch.zeros(1), Cond()) for _ in range(2)))
    network.train()
    assert not torch.equal(*(network(z, torch.zeros(1), Cond()) for _ in range(2)))


def test_coordinates_tell_each_pixel_where_it_is():
    grey = torch.zeros(1, 3, 4, 8, 8)
    for told in (False, True):
        torch.manual_seed(0)
        network = small(coordinates=told)
        with torch.no_grad():
            made = network(grey, torch.zeros(1), Cond())
            beside = network(torch.cat([grey, grey[:, :, :1]], 2), torch.zeros(1), Cond(), images=1)
        assert torch.allclose(made[:, :, 0], made[:, :, 3], atol=1e-5) is not told
        torch.testing.assert_close(beside[:, :, :4], made, atol=1e-5, rtol=0)


def test_places_are_even_and_those_of_images_in_the_middle():
    where = places(torch.empty(2, 1, 40, 32, 64))
    assert where.shape == (1, 3, 40, 32, 64)
    for i, axis in enumerate((2, 3, 4)):
        assert where[0, i].mean() == pytest.approx(0, abs=1e-6) and where[0, i].var() == pytest.approx(1, abs=2e-3)
        assert (where[0, i].diff(dim=axis - 2) > 0).all()
    some = places(torch.empty(1, 1, 7, 2, 2), images=3)
    assert torch.equal(some[:, :, :4], places(torch.empty(1, 1, 4, 2, 2))) and not some[:, 0, 4:].any()
