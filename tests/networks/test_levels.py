"""Blocks that backward computes again, of every network: the same numbers from less memory."""

import copy
from itertools import chain

import pytest
import torch
from test_network_contracts import NAMES, inputs, small
from torch import Tensor, nn

from filmgrain.training import Config
from filmgrain.training.blocks import prepare

CPU = torch.device("cpu")


def network(name: str, recompute: int) -> nn.Module:
    made = small(name, dropout=0.3).train()
    assert prepare(made, Config(recompute=recompute), CPU) == []
    return made


def backward(network: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Output, gradients and buffers after a pass forth and back."""
    torch.manual_seed(5)  # of dropout
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = network(*inputs(network))
    out.float().square().sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"out": out.detach(), **gradients, **dict(network.named_buffers())}


def kept_bytes(network: nn.Module) -> int:
    """What the forward pass keeps for the backward one."""
    weights, kept = {p.data_ptr() for p in network.parameters()}, {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = network(*inputs(network, height=16, width=16))
    assert out.requires_grad  # so that the graph lives until here, and no address is used twice
    return sum(kept.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("levels", "dtype"), [(1, torch.float32), (-1, torch.float32), (-1, torch.bfloat16)])
def test_gradients_dropout_and_statistics_are_the_same_to_the_last_bit(name, levels, dtype):
    plain, again = backward(network(name, 0), dtype), backward(network(name, levels), dtype)
    assert plain.keys() == again.keys()
    assert [key for key in plain if not torch.equal(plain[key], again[key])] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_more_levels_the_less_is_kept(name):
    none, finest, every = (kept_bytes(network(name, levels)) for levels in (0, 1, -1))
    assert every <= finest < none  # simple_unet has a single level here
    assert every < 0.55 * none


@pytest.mark.parametrize("name", NAMES)
def test_each_block_is_named_once_and_together_they_are_most_of_the_network(name):
    made = network(name, 0)
    blocks = [*chain.from_iterable(made.levels())]
    assert len({id(block) for block in blocks}) == len(blocks)
    parameters = [id(p) for block in blocks for p in block.parameters()]
    assert len(set(parameters)) == len(parameters)
    assert sum(p.numel() for block in blocks for p in block.parameters()) > 0.7 * sum(
        p.numel() for p in made.parameters()
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_computes_with_its_own_weights(name):
    made = network(name, -1)
    copied = copy.deepcopy(made)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    assert backward(copied)["out"].any() and not backward(made)["out"].any()
