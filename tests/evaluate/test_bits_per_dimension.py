"""Bits per dimension, as users are told them: against data whose probabilities are known, and whatever is given."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import filmgrain
from filmgrain.autoencoders import pixels
from filmgrain.conditioning import label
from filmgrain.data import NoData
from filmgrain.diffusion.decoders import APART
from filmgrain.diffusion.process import alpha_sigma
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.evaluate.likelihood import Config, likelihood
from filmgrain.generate.videos import NotFinite
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel

BITS = torch.linspace(0, 6, 256, dtype=torch.float64)  # of the bytes 0 ... 255: low ones are the more probable
LOG_P = (-BITS).log_softmax(0)
ENTROPY = float(-(LOG_P.exp() * LOG_P).sum()) / math.log(2)
IMAGE, VIDEO = (3, 4, 4), (1, 3, 4, 4)


class Noise:
    """Items of independent bytes."""

    def __init__(self, shape=IMAGE, length=24):
        self.shape, self.length = shape, length

    def __len__(self):
        return self.length

    def item(self, index, rng):
        p = LOG_P.exp().numpy()
        return {"x": np.random.default_rng(index).choice(256, size=self.shape, p=p / p.sum()).astype(np.uint8)}


class Best(torch.nn.Module):
    """x0_hat = E[x0 | z] of those bytes."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.calls = 0

    def forward(self, z, logsnr, cond):
        self.calls += len(z)
        values = torch.arange(256) * APART - 1
        a, s = (part[..., None] for part in alpha_sigma(logsnr, z))
        return self.scale * (LOG_P.float() - (z[..., None] - a * values) ** 2 / (2 * s**2)).softmax(-1) @ values


def made(shape=IMAGE, schedule=None):
    diffusion = Diffusion(prediction="x0", schedule=schedule or Cosine())
    return DiffusionModel(Best(), pixels.Codec(pixels.Config()), diffusion, shape)


def truth(data, found):
    """The bits of the items that were measured, in their order; each is told by its bytes."""
    order = filmgrain.evaluate.likelihood.Loader(data, batch=1, seed=found.protocol["seed"])
    items = [data.item(order.index_of(n), random.Random())["x"] for n in range(len(found.bits))]
    return np.array([float(-LOG_P[torch.from_numpy(x).long()].mean()) / math.log(2) for x in items])


@pytest.mark.parametrize("shape", [IMAGE, VIDEO])
def test_the_bound_of_images_and_videos_is_what_their_probabilities_say(shape):
    data = Noise(shape)
    found = likelihood(made(shape), data, Config(items=24, levels=32))
    off = np.array(found.bits) - truth(data, found)
    assert abs(off.mean()) < 4 * off.std() / math.sqrt(24)
    assert 0.6 < np.sqrt(np.mean(np.square(found.errors))) / off.std() < 1.6
    assert sum(found.parts.values()) == pytest.approx(found.mean)
    low, high = found.interval
    assert low < found.mean < high and low < ENTROPY < high


def test_the_flow_gives_each_item_its_bits():
    data = Noise(length=4)
    found = likelihood(made(), data, Config(method="ode", high=14.0, steps=96, probes=1))
    assert np.abs(np.array(found.bits) - truth(data, found)).max() < 0.02
    uniform = likelihood(made(), data, Config(method="ode", items=2, steps=96, probes=1, dequantisation="uniform"))
    assert uniform.mean > found.mean + 0.2 and "uniform" in str(uniform)


def test_a_schedule_of_steps_has_the_bound_of_its_chain():
    data, steps = Noise(length=12), LinearBeta(steps=50)
    some, every = (likelihood(made(schedule=steps), data, Config(levels=levels)) for levels in (20, 1000))
    assert every.protocol["chain"] == 50 and every.protocol["levels"] == 49 and every.protocol["nfe"] == 50
    assert some.mean == pytest.approx(every.mean, abs=0.5) and every.mean > ENTROPY + 0.2
    wide = likelihood(made(schedule=steps), data, Config(levels=49, gamma=1.0))
    assert wide.protocol["gamma"] == 1 and wide.mean != every.mean
    flow = likelihood(made(schedule=steps), data, Config(method="ode", items=1, steps=4, probes=1))
    assert "chain" not in flow.protocol and flow.protocol["high"] < 10  # where the table begins


@pytest.mark.parametrize("config", [Config(items=5, levels=4), Config(items=5, method="ode", steps=2)])
def test_figures_depend_on_the_seed_and_on_no_batch(config):
    data = Noise()
    one, other = (likelihood(made(), data, config, batch=batch) for batch in (1, 4))
    assert one.bits == pytest.approx(other.bits, abs=1e-4) and len(one.bits) == 5
    assert likelihood(made(), data, replace(config, seed=1)).bits != one.bits
    assert likelihood(made(), data, config, batch=4).row() == other.row()


@pytest.mark.parametrize(
    ("config", "schedule"),
    [
        (Config(items=5, levels=3), Cosine()),
        (Config(items=3, levels=3), LinearBeta()),
        (Config(items=2, method="ode", steps=2, probes=3), Cosine()),
    ],
)
def test_it_calls_the_network_as_often_as_it_says(config, schedule):
    model, seen = made(schedule=schedule), []
    found = likelihood(model, Noise(), config, batch=2, progress=lambda done, total: seen.append((done, total)))
    expected = config.items * found.protocol["nfe"]
    assert model.network.calls == expected and seen[-1] == (expected, expected)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


class Told(torch.nn.Module):
    """Knows what is in the item that it is told of: x0 is its label, in the range of bytes."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, z, logsnr, cond):
        assert cond.vector.shape == (len(z), 1)
        return 0 * self.scale * z + cond.vector[:, :, None, None]


class Flat(Noise):
    def item(self, index, rng):
        return {"x": np.full(self.shape, 255 * (index % 2), dtype=np.uint8), "label": index % 2}


@pytest.mark.parametrize("method", ["bound", "ode"])
def test_a_conditional_model_is_told_the_label(method):
    labels = label.Conditioner(label.Config(names=("black", "white")), vector=1)
    with torch.no_grad():
        labels.table.weight.copy_(torch.tensor([[-1.0], [1.0], [0.0]]))
    model = DiffusionModel(Told(), pixels.Codec(pixels.Config()), Diffusion(prediction="x0"), IMAGE, {"label": labels})
    found = likelihood(model, Flat(length=6), Config(method=method, steps=48, probes=1, high=14.0))
    assert found.mean == pytest.approx(0, abs=0.02) and found.protocol["conditions"] == ["label"]


def test_fewer_items_than_asked_for_are_all_items():
    found = likelihood(made(), Noise(length=3), Config(items=64, levels=2))
    assert len(found.bits) == 3 and found.protocol["items"] == 3 and "3 items" in str(found)


def test_the_row_is_json_also_where_nothing_can_be_said():
    found = likelihood(made(), Noise(), Config(items=1, levels=1))
    row = json.loads(json.dumps(found.row(), allow_nan=False))
    assert row["interval"] == [None, None] and row["errors"] == [None] and row["bits_per_dimension"] == found.mean
    assert (row["method"], row["seed"], row["items"], row["high"]) == ("bound", 0, 1, 13)
    assert "95 %" not in str(found)


def test_the_model_is_left_as_it_was():
    model = made().train()
    likelihood(model, Noise(), Config(items=1, levels=1))
    assert model.training and model.network.scale.grad is None


WRONG = {"items": 0, "levels": 0, "steps": -1, "probes": 0, "gamma": 1.5, "method": "mcmc", "dequantisation": "none"}


@pytest.mark.parametrize(("field", "value"), WRONG.items())
def test_a_protocol_that_cannot_be(field, value):
    with pytest.raises(ValueError, match=f"{field}=") as caught:
        Config(**{field: value})
    assert "\n" not in str(caught.value)


def test_what_cannot_be_measured_says_so():
    with pytest.raises(NoData, match="nothing is held out"):
        likelihood(made(), Noise(length=0))
    with pytest.raises(ValueError, match="items are 1x3x4x4 "):
        likelihood(made(), Noise(VIDEO))
    with pytest.raises(ValueError, match="items are 1x4x4 "):
        likelihood(made(), Noise((1, 4, 4)))
    with pytest.raises(ValueError, match="batch=0"):
        likelihood(made(), Noise(), batch=0)
    model = made()
    model.codec.bounded = False
    with pytest.raises(ValueError, match="latents are not bytes"):
        likelihood(model, Noise())


@pytest.mark.parametrize("method", ["bound", "ode"])
def test_a_network_that_breaks_is_found_out(method):
    model = made()
    torch.nn.init.constant_(model.network.scale, math.nan)
    with pytest.raises(NotFinite, match="NaN"):
        likelihood(model, Noise(), Config(method=method, items=1, levels=3, steps=1))


def test_it_is_public():
    assert filmgrain.likelihood is likelihood and callable(filmgrain.datasets)
