"""What every network of networks/ keeps to: a new file is tested without being listed."""

from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from filmgrain import rooms
from filmgrain.diffusion.cond import Cond

# Whichever of these a Config has.
SMALL = {"width": 16, "mults": (1, 2), "heads": 2, "head_width": 8, "groups": 4, "attention": (1,)}
DOORS = {"condition": 5, "tokens": 6, "maps": 2}
NAMES = rooms.names("networks")


def small(name, **changes):
    """A small network whose parameters are all away from zero, so that nothing is hidden behind a zero last layer."""
    module = rooms.find("networks", name)
    known = {field.name for field in fields(module.Config)}
    torch.manual_seed(0)
    network = module.Network(module.Config(**{key: value for key, value in (SMALL | changes).items() if key in known}))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() < 1e-4:
                parameter.normal_(std=0.1)
    return network.eval()


def inputs(network, b=2, frames=3, height=8, width=8):
    """z, levels or steps, and a condition through every door that the network has."""
    generator, config = torch.Generator().manual_seed(1), network.config

    def draw(*shape):
        return torch.randn(b, *shape, generator=generator)

    size = (height, width) if getattr(config, "images_only", False) else (frames, height, width)
    given = {setting: getattr(config, setting, 0) for setting in DOORS}
    cond = Cond(
        vector=draw(given["condition"]) if given["condition"] else None,
        tokens=draw(4, given["tokens"]) if given["tokens"] else None,
        maps=draw(given["maps"], *size) if given["maps"] else None,
    )
    levels = torch.arange(b) * 300 if network.takes_steps else torch.linspace(-4, 4, b)
    return draw(config.channels, *size), levels, cond


def every_door(name):
    return small(name, **DOORS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 8, 8), (3, 7, 9), (8, 1, 5), (2, 12, 20)])
@pytest.mark.parametrize("make", [small, every_door])
def test_output_has_the_shape_of_z(name, size, make):
    network = make(name)
    z, level, cond = inputs(network, 2, *size)
    out = network(z, level, cond)
    assert out.shape == z.shape and out.dtype == z.dtype and out.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels(name, channels):
    network = small(name, channels=channels)
    z, level, cond = inputs(network)
    assert z.shape[1] == channels and network(z, level, cond).shape == z.shape


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_a_clip_of_one_frame(name):
    network = small(name)
    if getattr(network.config, "images_only", False):
        pytest.skip("it takes images alone")
    z, level, cond = inputs(network, frames=1)
    assert torch.equal(network(z[:, :, 0], level, cond), network(z, level, cond)[:, :, 0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [small, every_door])
def test_gradients_reach_every_parameter(name, make):
    network = make(name)
    network(*inputs(network)).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_noise_level_matters(name):
    network = small(name)
    z, _, cond = inputs(network)
    one, other = (torch.full((2,), level) for level in ((5, 600) if network.takes_steps else (4.0, 1.0)))
    assert (network(z, one, cond) - network(z, other, cond)).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("door", DOORS)
@torch.no_grad()
def test_a_condition_matters_and_is_refused_where_the_network_was_made_for_none(name, door):
    network, made_for, slot = small(name), every_door(name), "vector" if door == "condition" else door
    z, level, cond = inputs(made_for)
    if (given := getattr(cond, slot)) is None:
        with pytest.raises(ValueError, match=f"has {door}, for which {name} has no door"):
            made_for(z, level, replace(cond, **{slot: torch.zeros(2, 3, 3) if slot == "tokens" else z}))
        return
    assert (made_for(z, level, cond) - made_for(z, level, replace(cond, **{slot: -given}))).abs().max() > 1e-3
    with pytest.raises(ValueError, match=f"of 0 features; the network was made for {door}={DOORS[door]}"):
        made_for(z, level, replace(cond, **{slot: None}))
    with pytest.raises(ValueError, match=f"of {DOORS[door]} features; the network was made for {door}=0"):
        network(z, level, Cond(**{slot: given}))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_saves_and_reloads_bit_equal(name, tmp_path):
    network = every_door(name)
    args = inputs(network)
    save_file(
        {key: tensor.contiguous() for key, tensor in network.state_dict().items()}, tmp_path / "network.safetensors"
    )
    again = type(network)(network.config).eval()
    again.load_state_dict(load_file(tmp_path / "network.safetensors"))
    assert torch.equal(again(*args), network(*args))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_bfloat16_is_close_to_float32(name):
    network = every_door(name)
    args = inputs(network)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(*args)
    whole = network(*args)
    assert (half.float() - whole).norm() < 0.02 * whole.norm()  # bfloat16 has 8 bits: 0.4 % a rounding


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_memory_layout_of_z_is_of_no_matter_and_z_is_left_alone(name):
    network = small(name)
    z, level, cond = inputs(network)
    before, expected = z.clone(), network(z, level, cond)
    assert torch.equal(z, before)
    last = torch.channels_last if z.ndim == 4 else torch.channels_last_3d
    for other in (z.to(memory_format=last), z.transpose(1, 2).contiguous().transpose(1, 2)):
        assert torch.allclose(network(other, level, cond), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch(name):
    network = every_door(name)
    z, level, cond = inputs(network, b=3)
    together = network(z, level, cond)
    alone = [network(z[i : i + 1], level[i : i + 1], cond.each(lambda door, i=i: door[i : i + 1])) for i in range(3)]
    assert torch.allclose(torch.cat(alone), together, atol=1e-5)
