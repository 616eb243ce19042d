"""Nothing stays behind on the CPU, and nothing on a device is float64, which MPS has not.

The device is `meta`: tensors there have no values, so that any machine has it, and what asks for a value says so.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from filmgrain import rooms
from filmgrain.autoencoders import pixels
from filmgrain.conditioning import frame_rate, frame_skip, label, low_resolution, words
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.schedules import SCHEDULES, Cosine
from filmgrain.diffusion.times import TIMES
from filmgrain.diffusion.weighting import WEIGHTINGS
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.generate.sampling import guided, walk
from filmgrain.guidance.known import Known
from filmgrain.guidance.measurements import Blur, Downsample, Frames, Grey, Together
from filmgrain.guidance.reconstruction import Reconstruction
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import unet3d
from filmgrain.tasks import diffusion as task

CLIP = (3, 4, 8, 8)
ASKS = {"rk45"}  # how large its error is, at every step
CONDITIONS = {
    frame_rate: ({}, [8.0, 0.0]),
    frame_skip: ({"skips": (1, 4)}, [4, 0]),
    label: ({"names": ("a", "b")}, [1, 0]),
    low_resolution: ({}, torch.zeros(2, *CLIP)),
    words: ({"vocabulary": ("red", "circle")}, ["a red circle", ""]),
}


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, but for numbers, copies and indices; and float64 on `meta`."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and x.ndim]
        if len({x.device for x in given}) > 1 and not func.name().startswith(("aten::copy_", "aten::index")):
            raise AssertionError(f"{func} of tensors on two devices")
        for x in tree_leaves(made):
            if isinstance(x, torch.Tensor) and x.device.type == "meta" and x.dtype == torch.float64:
                raise AssertionError(f"{func} makes float64 on the device")
        return made


@pytest.fixture(autouse=True)
def one_device():
    with OneDevice():
        yield


class Scaled(torch.nn.Module):
    """The least that is a network."""

    def __init__(self):
        super().__init__()
        self.by = torch.nn.Parameter(torch.ones(1))

    def forward(self, z, logsnr, cond):
        return self.by * z


def model_of(network=None, schedule=None, conditioners=None):
    codec, config = pixels.Codec(pixels.Config()), Diffusion(schedule=schedule or Cosine())
    return DiffusionModel(network or Scaled(), codec, config, CLIP, conditioners).to("meta")


def unet(**settings):
    return unet3d.Network(
        unet3d.Config(width=8, mults=(1,), heads=2, head_width=8, kernel=3, coordinates=True, **settings)
    )


def loss(model, batch=None, **settings):
    """Forwards and backwards."""
    trained = task.Task(task.Config(**settings), model, seed=0, held_out=None, sampling=Sampling())
    model.to("meta")
    batch = {"x": torch.zeros(2, *CLIP, device="meta"), "n": torch.tensor([0, 1])} | (batch or {})
    value, _ = trained.loss(batch, "model")
    value.backward()
    assert value.device.type == "meta"


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule):
    loss(model_of(schedule=SCHEDULES[schedule]()))


@pytest.mark.parametrize(("kind", "name"), [*(("weighting", k) for k in WEIGHTINGS), *(("times", k) for k in TIMES)])
def test_objectives(kind, name):
    if name == "importance":
        pytest.skip("it asks the device what the losses were")
    loss(model_of(), **{kind: {"weighting": WEIGHTINGS, "times": TIMES}[kind][name]()})


def test_joint_training():
    loss(model_of(unet()), {"x": torch.zeros(2, 3, 6, 8, 8, device="meta")}, images=2)


@pytest.mark.parametrize("module", CONDITIONS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_conditions(module):
    settings, values = CONDITIONS[module]
    network = unet(condition=6, maps=3 * (module is low_resolution))
    model = model_of(network, conditioners={"told": module.Conditioner(module.Config(**settings), vector=6)})
    given = {module.Conditioner.key: values}
    loss(model, {} if module is low_resolution else given)
    cond = model.condition(given, Draw(0, (0, 1)))
    list(walk(model.eval(), range(2), CLIP, Sampling(steps=1, scale=2.0, rescale=0.5), 0, cond))


@pytest.mark.parametrize("sampler", [name for name in rooms.names("samplers") if name not in ASKS])
def test_samplers(sampler):
    steps = list(walk(model_of().eval(), range(2), CLIP, Sampling(sampler=sampler, steps=3), 0))
    assert steps[-1].z.device.type == "meta" and steps[-1].logsnr.device.type == "cpu"


@pytest.mark.parametrize(
    "measure", [Downsample(2), Blur(1.0), Grey(), Together((Frames((0,)), Grey()), (1.0, 2.0))], ids=str
)
def test_guidance(measure):
    model, x = model_of().eval(), torch.zeros(2, *CLIP, device="meta")
    towards = Reconstruction(guided(model, Sampling(), model.null(2)), measure, measure(x))
    known = Known(towards, x, torch.ones(4, 1, 1, dtype=torch.bool, device="meta"))
    assert known(x, torch.zeros(2, device="meta"), Cond()).device.type == "meta"
