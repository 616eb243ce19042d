"""The diffusion task's view of held-out items."""

import numpy as np
import pytest
import torch
from tiny_recipe import tiny

from filmgrain import runs
from filmgrain.autoencoders import pixels
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import unet3d
from filmgrain.recipe import loads
from filmgrain.tasks.diffusion import VALIDATION_TIMES, Config, Task
from filmgrain.training.world import World


class Few:
    """`count` items of one value each."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def item(self, index, rng):
        return {"x": np.full((3, 2, 8, 8), 5 * index, np.uint8), "source": f"{index}"}

    def summary(self):
        return []


def task_of(held_out, batch=8, **config):
    torch.manual_seed(0)
    network = unet3d.Network(unet3d.Config(width=8, mults=(1,), heads=2, head_width=8))
    model = DiffusionModel(network, pixels.Codec(pixels.Config()), Diffusion(prediction="x0"), (3, 2, 8, 8))
    return Task(Config(**config), model, seed=0, held_out=held_out, sampling=Sampling(steps=2), batch=batch)


@pytest.mark.parametrize(("held_out", "validation", "used"), [(11, 32, 11), (11, 9, 9), (3, 32, 3), (40, 12, 12)])
def test_every_item_asked_for_is_validated_once(held_out, validation, used):
    """The untrained network's output is 0, so that the loss of an item is the mean square of its pixels."""
    task = task_of(Few(held_out), validation=validation)
    seen = []
    losses = task._losses
    task._losses = lambda x, cond, draw, times: seen.append((draw.n, x[:, 0, 0, 0, 0])) or losses(x, cond, draw, times)
    figures = task.validate()
    per_time = seen[:: len(VALIDATION_TIMES)]
    assert [n for numbers, _ in per_time for n in numbers] == list(range(used))
    values = torch.cat([x for _, x in per_time])
    assert len(set(values.tolist())) == used
    assert figures["loss"] == pytest.approx(values.square().mean().item(), rel=1e-5)
    assert set(figures) == {"loss", *(f"loss at t={t}" for t in VALIDATION_TIMES)}


def test_nothing_is_validated_where_nothing_is_held_out():
    assert task_of(None).validate() == task_of(Few(3), validation=0).validate() == task_of(Few(0)).validate() == {}


def test_a_look_has_no_more_items_at_once_than_it_may_and_the_same_figures(tmp_path):
    few, many = (task_of(Few(7), batch, validation=5, previews=5) for batch in (2, 8))
    sizes = []
    few.model.network.register_forward_pre_hook(lambda network, inputs: sizes.append(len(inputs[0])))
    assert few.validate() == pytest.approx(many.validate())
    (moving, strip), (other, _) = few.preview(tmp_path, 1), many.preview(tmp_path, 2)
    assert max(sizes) == 2 and len(sizes) == 3 * len(VALIDATION_TIMES) + 3 * 2
    assert moving.read_bytes() == other.read_bytes() and strip.exists()


@pytest.mark.parametrize("batch, processes, at_once", [(2, 1, 2), (100, 1, 8), (8, 4, 2), (2, 8, 1)])
def test_a_process_looks_at_no_more_items_at_once_than_it_has_in_a_step(batch, processes, at_once):
    recipe = loads(tiny().replace("condition = 6", "").replace("batch = 4", f"batch = {batch}"))
    world = World(size=processes)
    assert runs.looked_at(recipe, world) == at_once
    assert runs.task_of(recipe, runs.build(recipe), None, world).batch == at_once
