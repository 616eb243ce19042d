"""Networks that take steps are given the very step of every level of a table, and of every grid that ends in data."""

import pytest
import torch
from test_network_contracts import NAMES, small

from filmgrain import rooms
from filmgrain.autoencoders import pixels
from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.tables import CosineBeta, LinearBeta, ScaledLinearBeta
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel

TAKES_STEPS = [name for name in NAMES if hasattr(rooms.find("networks", name).Config, "takes_steps")]
TABLES = {
    "linear 1000": LinearBeta(),
    "linear 300, unscaled": LinearBeta(steps=300, scale=False),
    "linear 300": LinearBeta(steps=300),
    "linear 4000": LinearBeta(steps=4000),
    "zero terminal": LinearBeta(zero_terminal_snr=True),
    "scaled linear": ScaledLinearBeta(),
    "cosine 1000": CosineBeta(),
    "two steps": LinearBeta(steps=2),
}


def model_of(name, schedule) -> tuple[DiffusionModel, list[torch.Tensor]]:
    """The model, and the list of all steps that its network will be called with."""
    network, given = small(name, width=8, steps=True, table=4000), []
    network.register_forward_pre_hook(lambda module, args: given.append(args[1]))
    codec = pixels.Codec(pixels.Config())
    return DiffusionModel(network, codec, Diffusion(prediction="v", schedule=schedule), (3, 2, 2)), given


def test_there_are_such_networks():
    assert {"simple_unet", "ddpm_unet", "unet2d", "unet3d"} <= {*TAKES_STEPS}


@pytest.mark.parametrize("schedule", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("name", TAKES_STEPS)
@torch.no_grad()
def test_level_k_of_a_table_is_step_k(name, schedule):
    model, given = model_of(name, schedule)
    steps = len(schedule.table)
    model(torch.zeros(steps, 3, 2, 2), schedule.table.float(), Cond())
    assert torch.equal(given[0], torch.arange(steps).to(given[0]))
    assert given[0].is_floating_point() == (name != "ddpm_unet")


@pytest.mark.parametrize(
    ("grid", "steps"), [("uniform", 50), ("uniform", 1000), ("trailing", 50), ("leading", 50), ("table", 1000)]
)
@torch.no_grad()
def test_sampling_grids_of_a_table_visit_whole_steps(grid, steps):
    model, given = model_of("simple_unet", LinearBeta())
    levels = grids.levels(model.schedule, steps, grid)[:-1]
    model(torch.zeros(steps, 3, 2, 2), levels.float(), Cond())
    assert torch.equal(given[0], given[0].round()) and (given[0].diff() < 0).all()
    assert steps < 1000 or torch.equal(given[0], torch.arange(999, -1, -1.0))


@torch.no_grad()
def test_between_two_levels_a_lookup_takes_the_nearer_and_a_sinusoid_the_fraction():
    table = LinearBeta().table.float()
    between = table[400] + 0.75 * (table[401] - table[400])
    for name, expected in (("simple_unet", 400.75), ("ddpm_unet", 401)):
        model, given = model_of(name, LinearBeta())
        model(torch.zeros(1, 3, 2, 2), between[None], Cond())
        assert given[0].item() == pytest.approx(expected, abs=1e-3)


def test_continuous_time_is_refused():
    with pytest.raises(ValueError, match="takes integer steps, which Cosine has not"):
        model_of("ddpm_unet", Diffusion().schedule)
