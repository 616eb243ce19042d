"""The tutorial's U-Net: its size, and its output against the same computed from the weights, one formula at a time."""

import math

import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.diffusion.cond import Cond
from filmgrain.networks.simple_unet import Config, Network


def count(config: Config) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Network(config).parameters())


def test_counts_of_the_tutorial():
    assert count(Config()) == 62_438_883
    assert count(Config(norms=1)) == 62_433_123


def make(**settings) -> Network:
    """A network none of whose weights or statistics is at its initial value."""
    torch.manual_seed(0)
    network = Network(Config(**settings)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor += torch.rand_like(tensor)
    network.out.weight.data *= 5  # an output of order 1
    return network


def reference(weights, z, step, vector, levels):
    """The network as the tutorial has it, from a dict of tensors."""

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def conv(x, name, **options):
        return nnf.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def norm(x, name):
        mean, var, gain, bias = (
            weights[f"{name}.{kind}"][:, None, None] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * gain + bias

    def block(x, name, resample):
        second = f"{name}.norms.{1 if f'{name}.norms.1.weight' in weights else 0}"
        h = norm(torch.clamp(conv(x, f"{name}.conv1", padding=1), min=0), f"{name}.norms.0")
        h = h + torch.clamp(linear(embedded, f"{name}.time"), min=0)[..., None, None]
        if vector is not None:
            h = h + linear(vector, f"{name}.condition")[..., None, None]
        h = norm(torch.clamp(conv(h, f"{name}.conv2", padding=1), min=0), second)
        return resample(h, weights[f"{name}.resample.weight"], weights[f"{name}.resample.bias"], stride=2, padding=1)

    features = weights["time.weight"].shape[1]
    angles = [[t * 10000 ** (-i / (features // 2 - 1)) for i in range(features // 2)] for t in step.tolist()]
    sinusoids = torch.tensor([[*map(math.sin, row), *map(math.cos, row)] for row in angles])
    embedded = torch.clamp(linear(sinusoids, "time"), min=0)
    h, put_out = conv(z, "first", padding=1), []
    for i in range(levels):
        h = block(h, f"downs.{i}", nnf.conv2d)
        put_out.append(h)
    for i in range(levels):
        h = block(torch.cat([h, put_out[-1 - i]], 1), f"ups.{i}", nnf.conv_transpose2d)
    return conv(h, "out")


@pytest.mark.parametrize("settings", [{}, {"norms": 1}, {"condition": 3}, {"time": 12, "channels": 1}])
@torch.no_grad()
def test_output_is_that_of_the_formulas(settings):
    network = make(width=8, mults=(1, 2, 3), **settings)
    z, step = torch.randn(2, network.config.channels, 8, 12), torch.tensor([0, 299])
    vector = torch.randn(2, 3) if network.config.condition else None
    ours, plain = network(z, step, Cond(vector=vector)), reference(network.state_dict(), z, step, vector, 2)
    assert plain.std() > 0.05 and torch.allclose(ours, plain, atol=1e-5)


@torch.no_grad()
def test_the_first_block_up_is_given_its_own_input_twice():
    network, seen = make(width=8, mults=(1, 2, 3)), []
    network.ups[0].register_forward_hook(lambda module, args, out: seen.append(args[0]))
    network(torch.randn(1, 3, 8, 8), torch.tensor([5]), Cond())
    assert torch.equal(*seen[0].chunk(2, dim=1))


@torch.no_grad()
def test_steps_between_the_steps_are_in_between():
    network, z = make(width=8, mults=(1, 2)), torch.randn(1, 3, 4, 4)
    low, middle, high = (network(z, torch.tensor([step]), Cond()) for step in (7, 7.001, 7.002))
    assert torch.allclose(middle, (low + high) / 2, atol=1e-5) and not torch.equal(low, high)


def test_a_batch_leaves_its_mark_in_training_and_none_in_evaluation():
    network, z = make(width=8, mults=(1, 2)), torch.randn(4, 3, 4, 4)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(z, torch.arange(4), Cond())
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    network.train()(z, torch.arange(4), Cond())
    assert not any(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


@torch.no_grad()
def test_sizes_that_do_not_divide_are_padded_by_their_edges_and_cropped():
    network, step = make(width=8, mults=(1, 2, 3)), torch.tensor([3])
    z = torch.randn(1, 3, 6, 8)
    padded = torch.cat([z[..., :1, :], z, z[..., -1:, :]], dim=-2)
    assert torch.equal(network(z, step, Cond()), network(padded, step, Cond())[..., 1:7, :])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mults": (1,)}, r"mults=\(1,\) needs one positive number a level, and 2 or more"),
        ({"width": 0}, "width=0 is not positive"),
        ({"condition": -1}, "condition=-1 is negative"),
        ({"time": 7}, "time=7 is too small or odd"),
        ({"norms": 3}, "norms=3 is not the number of a block's BatchNorms; use 2, or 1 that is shared"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**settings)
    assert "\n" not in str(error.value)
