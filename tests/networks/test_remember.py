"""Networks whose deep levels may be left out: what is remembered, and what is computed each time."""

import pytest
import torch
from test_network_contracts import inputs, small

from filmgrain import rooms
from filmgrain.blocks.memory import Memory

NAMES = [name for name in rooms.names("networks") if hasattr(rooms.find("networks", name).Network, "remember")]


def test_there_are_some():
    assert {"unet2d", "unet3d", "ddpm_unet"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_finest_level_is_always_computed(name):
    """What is remembered is right for the same z; for another z the answer is neither the old nor the true one."""
    network = small(name)
    z, level, cond = inputs(network)
    plain, other = network(z, level, cond), network(z + 1, level, cond)
    network.remember(Memory(3))
    assert torch.equal(network(z, level, cond), plain)
    assert torch.equal(network(z, level, cond), plain)
    mixed = network(z + 1, level, cond)
    assert all((mixed - one).abs().max() > 1e-4 for one in (plain, other))
    assert torch.equal(network(z + 1, level, cond), other)  # the fourth call
    network.remember(None)
    assert torch.equal(network(z, level, cond), plain)


def test_of_another_number_of_samples_nothing_is_remembered():
    memory, h = Memory(5), torch.ones(4, 1, 1, 1)
    assert memory(h, lambda h: 2 * h).sum() == 8
    assert memory(h, lambda h: 3 * h).sum() == 8
    assert memory(h[:2], lambda h: 3 * h).sum() == 6
