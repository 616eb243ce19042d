"""What a step costs: two steps of the recipe's own network on random data, if they fit the machine at all."""

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from ..recipe import Recipe


class Cost(NamedTuple):
    seconds: float  # a step
    gigabytes: float  # the most that was held
    place: str  # device and precision


def probe(recipe: "Recipe") -> Cost:
    """The second of two steps; the first one warms up."""
    import torch

    from ..rooms import find, name_of
    from ..runs import build
    from ..training.log import memory_gb
    from ..training.place import Place
    from ..training.step import Stepper

    config = recipe.train
    place = Place.choose(config.device, config.precision)
    model = build(recipe).to(place.device).train()
    Task = find("tasks", name_of(recipe.task)).Task
    task = Task(recipe.task, model, seed=config.seed, held_out=None, sampling=recipe.sample)
    stepper = Stepper(task, config, place)
    batch = place.move({"x": torch.rand(config.batch, *recipe.data.shape) * 2 - 1, "n": torch.arange(config.batch)})
    for number in range(2):
        start = time.monotonic()
        float(stepper.step(number, [batch] * config.accumulate)["loss"])  # waits for the device
        seconds = time.monotonic() - start
    return Cost(seconds, memory_gb(place.device), str(place))


def kept_gigabytes(recipe: "Recipe") -> float:
    """What a step keeps of its forward pass for the backward one, from shapes alone: no tensor is filled.

    In float32; what shares memory is counted once a use, so that it is rather too much than too little.
    """
    import torch

    from .flow import blueprint

    model = blueprint(recipe).train()
    weights, kept = {id(p) for p in model.parameters()}, 0

    def count(tensor: "torch.Tensor") -> "torch.Tensor":
        nonlocal kept
        kept += 0 if id(tensor) in weights else tensor.numel() * tensor.element_size()
        return tensor

    batch = recipe.train.batch
    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model.raw(torch.zeros(batch, *model.shape), torch.zeros(batch), model.null(batch))
    return kept / 1e9
