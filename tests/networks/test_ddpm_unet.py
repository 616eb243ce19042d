"""The U-Net of Ho et al. (2020): its size, that its parameters are those of pytorch-ddpm under other names, its output.

The reference below reads the public names, and finds the make of the network from them alone.
"""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from filmgrain.diffusion.cond import Cond
from filmgrain.networks.ddpm_unet import Config, Network, step_table

THEIRS = [  # our names -> those of pytorch-ddpm, each applied in turn
    (r"^time\.table$", "time_embedding.timembedding.0.weight"),
    (r"^time\.layers\.0", "time_embedding.timembedding.1"),
    (r"^time\.layers\.2", "time_embedding.timembedding.3"),
    (r"^first", "head"),
    (r"^norm\.", "tail.0."),
    (r"^out\.", "tail.2."),
    (r"^body\.middle", "middleblocks"),
    (r"^body\.(down|up)s", r"\1blocks"),
    (r"(\.\d+)\.conv\.", r"\1.main."),
    (r"\.attention\.norm", ".attn.group_norm"),
    (r"\.attention\.([qkv])\.", r".attn.proj_\1."),
    (r"\.attention\.out", ".attn.proj"),
    (r"\.norm1", ".block1.0"),
    (r"\.conv1", ".block1.2"),
    (r"\.time\.", ".temb_proj.1."),
    (r"\.norm2", ".block2.0"),
    (r"\.conv2", ".block2.3"),
]


def theirs(state):
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in THEIRS:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    assert len(renamed) == len(state)
    return renamed


def on_meta(config: Config) -> Network:
    with torch.device("meta"):
        return Network(config)


def make(**settings) -> Network:
    """A small network none of whose parameters is at its initial value."""
    torch.manual_seed(0)
    network = Network(Config(**{"width": 16, "groups": 4, "mults": (1, 2, 2), "dropout": 0.0, **settings})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.rand_like(parameter)
    return network


@pytest.mark.parametrize(("mults", "trainable"), [((1, 2, 2, 2), 35_746_307), ((1, 2, 2, 1), 26_841_859)])
def test_counts_of_the_published_network(mults, trainable):
    network = on_meta(Config(mults=mults))
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == trainable
    assert sum(buffer.numel() for buffer in network.buffers()) == 128_000


def test_names_and_shapes_of_the_published_checkpoint():
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs(on_meta(Config()).state_dict()).items()}
    assert shapes["time_embedding.timembedding.0.weight"] == (1000, 128)
    assert shapes["head.weight"] == (128, 3, 3, 3) and shapes["tail.2.bias"] == (3,)
    kinds = (
        "block1.0 block1.2 temb_proj.1 block2.0 block2.3 shortcut attn.group_norm attn.proj_q attn.proj_k attn.proj_v"
    )
    known = {*kinds.split(), "attn.proj"}
    blocks = {name.partition("blocks.")[2].partition(".")[2].rpartition(".")[0] for name in shapes if "blocks." in name}
    assert blocks == {*known, "main"}
    assert [n for n in range(11) if f"downblocks.{n}.main.weight" in shapes] == [2, 5, 8]
    assert [n for n in range(15) if f"upblocks.{n}.main.weight" in shapes] == [3, 7, 11]
    assert [n for n in range(11) if f"downblocks.{n}.attn.proj.weight" in shapes] == [3, 4]
    assert [n for n in range(15) if f"upblocks.{n}.attn.proj.weight" in shapes] == [8, 9, 10]
    assert "middleblocks.0.attn.proj.weight" in shapes and "middleblocks.1.attn.proj.weight" not in shapes
    assert shapes["middleblocks.0.attn.proj_q.weight"] == (256, 256, 1, 1)
    assert shapes["upblocks.0.block1.2.weight"] == (256, 512, 3, 3)


class Reference:
    """The network from a dict of tensors by their public names, one formula at a time."""

    def __init__(self, weights, groups):
        self.weights, self.groups = weights, groups

    def affine(self, x, name):
        """A linear layer, or a convolution of any kernel."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if weight.ndim == 2:
            return torch.einsum("bi,oi->bo", x, weight) + bias
        stride = 2 if re.fullmatch(r"downblocks\.\d+\.main", name) else 1
        return nnf.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)

    def norm(self, x, name):
        grouped = x.reshape(len(x), self.groups, -1)
        mean, var = grouped.mean(-1, keepdim=True), grouped.var(-1, unbiased=False, keepdim=True)
        normal = ((grouped - mean) * (var + 1e-5) ** -0.5).reshape(x.shape)
        return normal * self.weights[f"{name}.weight"][:, None, None] + self.weights[f"{name}.bias"][:, None, None]

    def block(self, x, name, time, vector):
        h = self.affine(swish(self.norm(x, f"{name}.block1.0")), f"{name}.block1.2")
        h = h + self.affine(swish(time), f"{name}.temb_proj.1")[..., None, None]
        if vector is not None:
            h = h + self.affine(vector, f"{name}.condition")[..., None, None]
        h = self.affine(swish(self.norm(h, f"{name}.block2.0")), f"{name}.block2.3")
        h = h + (self.affine(x, f"{name}.shortcut") if f"{name}.shortcut.weight" in self.weights else x)
        return h + self.attention(h, f"{name}.attn") if f"{name}.attn.proj.weight" in self.weights else h

    def attention(self, x, name):
        h = self.norm(x, f"{name}.group_norm")
        q, k, v = (self.affine(h, f"{name}.proj_{kind}") for kind in "qkv")
        alike = torch.einsum("bcij,bckl->bijkl", q, k) / q.shape[1] ** 0.5
        share = alike.flatten(3).softmax(-1).reshape(alike.shape)
        return self.affine(torch.einsum("bijkl,bckl->bcij", share, v), f"{name}.proj")

    def __call__(self, z, step, vector):
        time = self.weights["time_embedding.timembedding.0.weight"][step]
        time = self.affine(swish(self.affine(time, "time_embedding.timembedding.1")), "time_embedding.timembedding.3")
        h = self.affine(z, "head")
        across, number = [h], 0
        while any(name.startswith(f"downblocks.{number}.") for name in self.weights):
            name = f"downblocks.{number}"
            halves = f"{name}.main.weight" in self.weights
            h = self.affine(h, f"{name}.main") if halves else self.block(h, name, time, vector)
            across.append(h)
            number += 1
        for name in ("middleblocks.0", "middleblocks.1"):
            h = self.block(h, name, time, vector)
        number = 0
        while any(name.startswith(f"upblocks.{number}.") for name in self.weights):
            name = f"upblocks.{number}"
            if f"{name}.main.weight" in self.weights:
                h = self.affine(h.repeat_interleave(2, -1).repeat_interleave(2, -2), f"{name}.main")
            else:
                h = self.block(torch.cat([h, across.pop()], 1), name, time, vector)
            number += 1
        assert not across
        return self.affine(swish(self.norm(h, "tail.0")), "tail.2")


def swish(x):
    return x / (1 + (-x).exp())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attention": (0, 2), "blocks": 1},
        {"condition": 3},
        {"mults": (2, 1), "channels": 1},
        {"mults": (1,), "attention": ()},
    ],
    ids=str,
)
@torch.no_grad()
def test_output_is_that_of_the_formulas(settings):
    network = make(**settings)
    z, step = torch.randn(2, network.config.channels, 8, 12), torch.tensor([0, 999])
    vector = torch.randn(2, 3) if network.config.condition else None
    ours = network(z, step, Cond(vector=vector))
    plain = Reference(theirs(network.state_dict()), 4)(z, step, vector)
    assert plain.std() > 0.1 and (ours - plain).abs().max() < 1e-5 * plain.abs().max()


def test_the_table_is_sines_and_cosines_in_turn():
    table = step_table(1000, 128)
    step, i = np.arange(1000)[:, None], np.arange(64)
    angle = step * 10000.0 ** (-2 * i / 128)
    assert np.abs(table[:, 0::2].numpy() - np.sin(angle)).max() < 2e-4  # angles of up to 999 in float32
    assert np.abs(table[:, 1::2].numpy() - np.cos(angle)).max() < 2e-4


def test_the_table_is_saved_and_not_trained():
    network = make()
    assert "time.table" in network.state_dict() and "time.table" not in dict(network.named_parameters())


@torch.no_grad()
def test_a_new_network_gives_almost_nothing_and_its_blocks_their_input():
    torch.manual_seed(0)
    network = Network(Config(width=32, groups=8, mults=(1, 2), dropout=0.0)).eval()
    z = torch.randn(2, 3, 8, 8)
    assert 0 < network(z, torch.tensor([1, 500]), Cond()).abs().max() < 1e-4
    block, h = network.body.middle[0], torch.randn(2, 64, 4, 4)
    assert 0 < (block(h, torch.randn(2, 128), None) - h).abs().max() < 1e-3
    assert not network.first.bias.any() and network.first.weight.abs().max() <= (6 / (9 * (3 + 32))) ** 0.5


@torch.no_grad()
def test_dropout_acts_in_training_alone():
    network, z = make(dropout=0.5), torch.randn(1, 3, 8, 8)
    once, again = (network(z, torch.tensor([5]), Cond()) for _ in range(2))
    assert torch.equal(once, again)
    network.train()
    once, again = (network(z, torch.tensor([5]), Cond()) for _ in range(2))
    assert not torch.equal(once, again)


@torch.no_grad()
def test_sizes_that_do_not_divide_are_padded_by_their_edges_and_cropped():
    network, step = make(), torch.tensor([3])
    z = torch.randn(1, 3, 6, 8)
    padded = torch.cat([z[..., :1, :], z, z[..., -1:, :]], dim=-2)
    assert torch.equal(network(z, step, Cond()), network(padded, step, Cond())[..., 1:7, :])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mults": ()}, r"mults=\(\) needs one positive number a level"),
        ({"attention": (1, 4)}, r"attention=\(1, 4\) names level 4; mults gives 4, counted from 0"),
        ({"attention": (-1,)}, r"attention=\(-1,\) names level -1"),
        ({"width": 48}, "groups=32 does not divide width=48; use groups=16"),
        ({"groups": 0}, "groups=0 does not divide width=128; use groups=32"),
        ({"width": 5, "groups": 1}, "width=5 is odd"),
        ({"dropout": 1.0}, "dropout=1.0 is not a part"),
        ({"table": 0}, "table=0 is not positive"),
        ({"condition": -1}, "condition=-1 is negative"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**settings)
    assert "\n" not in str(error.value)
