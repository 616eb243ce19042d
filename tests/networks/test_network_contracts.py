"""What every network of networks/ keeps to: a new file is tested without being listed."""

from dataclasses import fields

import pytest
import torch
from safetensors.torch import load_file, save_file

from filmgrain import rooms
from filmgrain.diffusion.cond import Cond

SMALL = {"width": 16, "mults": (1, 2), "heads": 2, "head_width": 8}  # whichever of these a Config has
NAMES = rooms.names("networks")


def small(name, **changes):
    """A small network whose parameters are all away from zero, so that nothing is hidden behind a zero last layer."""
    module = rooms.find("networks", name)
    known = {field.name for field in fields(module.Config)}
    torch.manual_seed(0)
    network = module.Network(module.Config(**{key: value for key, value in (SMALL | changes).items() if key in known}))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network.eval()


def inputs(b=2, frames=3, height=8, width=8):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(b, 3, frames, height, width, generator=generator), torch.linspace(-4, 4, b), Cond()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 8, 8), (3, 7, 9), (8, 1, 5), (2, 12, 20)])
def test_output_has_the_shape_of_z(name, size):
    z, logsnr, cond = inputs(2, *size)
    out = small(name)(z, logsnr, cond)
    assert out.shape == z.shape and out.dtype == z.dtype and out.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_a_clip_of_one_frame(name):
    network, (z, logsnr, cond) = small(name), inputs(frames=1)
    assert torch.equal(network(z[:, :, 0], logsnr, cond), network(z, logsnr, cond)[:, :, 0])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    network, (z, logsnr, cond) = small(name), inputs()
    network(z, logsnr, cond).square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_noise_level_matters(name):
    network, (z, _, cond) = small(name), inputs()
    assert (network(z, torch.full((2,), 4.0), cond) - network(z, torch.full((2,), 1.0), cond)).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_saves_and_reloads_bit_equal(name, tmp_path):
    network, args = small(name), inputs()
    save_file(
        {key: tensor.contiguous() for key, tensor in network.state_dict().items()}, tmp_path / "network.safetensors"
    )
    again = type(network)(network.config).eval()
    again.load_state_dict(load_file(tmp_path / "network.safetensors"))
    assert torch.equal(again(*args), network(*args))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_bfloat16_is_close_to_float32(name):
    network, args = small(name), inputs()
    with torch.autocast("cpu", torch.bfloat16):
        half = network(*args)
    whole = network(*args)
    assert (half.float() - whole).norm() < 0.02 * whole.norm()  # bfloat16 has 8 bits: 0.4 % a rounding


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_memory_layout_of_z_is_of_no_matter_and_z_is_left_alone(name):
    network, (z, logsnr, cond) = small(name), inputs()
    before, expected = z.clone(), network(z, logsnr, cond)
    assert torch.equal(z, before)
    for other in (z.to(memory_format=torch.channels_last_3d), z.transpose(1, 2).contiguous().transpose(1, 2)):
        assert torch.allclose(network(other, logsnr, cond), expected, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch(name):
    network, (z, logsnr, cond) = small(name), inputs(b=3)
    together = network(z, logsnr, cond)
    alone = torch.cat([network(z[i : i + 1], logsnr[i : i + 1], cond) for i in range(3)])
    assert torch.allclose(alone, together, atol=1e-5)
