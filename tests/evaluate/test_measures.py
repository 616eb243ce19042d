"""From pictures to numbers: clouds, what is refused before any sampling, and evaluations as they are compared."""

import hashlib
import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from filmgrain.data import NoData
from filmgrain.evaluate import protocol
from filmgrain.evaluate.distances import TooFew, frechet, kid
from filmgrain.evaluate.features import Extractor
from filmgrain.evaluate.intervals import Number
from filmgrain.evaluate.measures import MEASURES, Config, cloud, measure
from filmgrain.evaluate.pictures import in_folder, of_data, of_folder, of_samples
from filmgrain.evaluate.protocol import Evaluation, Incomparable, compare
from filmgrain.files.image import write_png


class Means(torch.nn.Module):
    """Three features: the means of red, green and blue."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, images):
        return images.float().mean((2, 3)) * self.weight / 255


MEANS = Extractor(network=Means(), kind="means", size=3, resize="none")


class Noise:
    """Pictures, or clips, each of one random colour a frame."""

    def __init__(self, count, shape, classes=()):
        self.count, self.shape = count, shape

    def __len__(self):
        return self.count

    def item(self, index, rng):
        channels, *frames, _, _ = self.shape
        dice = np.random.default_rng(index)
        x = dice.integers(256, size=(channels, *frames, 1, 1), dtype=np.uint8)
        return {"x": np.ascontiguousarray(np.broadcast_to(x, self.shape)), "source": str(index)}


def test_a_cloud_is_of_the_pictures_whatever_their_order_and_batches():
    data = Noise(150, (3, 8, 8))
    told = []
    one = cloud(MEANS, of_data(data, range(150), seed=0), 150, lambda *done: told.append(done))
    other = cloud(MEANS, of_data(data, range(150), seed=1), 150)
    assert told == [(64, 150), (128, 150), (150, 150)]
    assert one.sha256 == other.sha256 and len(one) == 150
    assert not torch.equal(one.features, other.features)
    assert torch.equal(one.features.sort(0).values, other.features.sort(0).values)
    assert cloud(MEANS, of_data(data, range(149), seed=0), 149).sha256 != one.sha256


def test_grey_is_shown_in_all_channels_and_a_clip_by_one_frame():
    grey = torch.cat([*of_data(Noise(5, (1, 8, 8)), range(5), 0)])
    assert grey.shape == (5, 3, 8, 8) and torch.equal(grey[:, 0], grey[:, 2])
    clips = Noise(40, (3, 6, 8, 8))
    one, again, other = (torch.cat([*of_data(clips, range(40), seed)]) for seed in (0, 0, 1))
    assert one.shape == (40, 3, 8, 8) and torch.equal(one, again) and not torch.equal(one, other)
    frames = torch.stack([torch.from_numpy(clips.item(i, random.Random())["x"]) for i in range(40)])
    chosen = [int((frames == x[None, :, None]).all((1, 3, 4)).nonzero()[0, 1]) for x in one]
    assert len(set(chosen)) == 6  # each of the six is drawn


def test_samples_are_rounded_as_they_are_saved():
    x = torch.tensor([-1.0, -1.0 + 1.4 / 127.5, 0.0, 1.0, 1.7]).view(5, 1, 1, 1).expand(5, 3, 4, 4)
    assert next(of_samples(x, 0))[:, 0, 0, 0].tolist() == [0, 1, 128, 255, 255]


def test_a_folder_of_samples_is_read_as_it_lies_there(tmp_path):
    """In the order of their numbers; another size is named, and not scaled in silence."""
    for i in range(12):
        write_png(tmp_path / f"{i}.png", np.full((6, 8, 3), i, np.uint8))
    assert len(in_folder(tmp_path)) == 12
    (found,) = of_folder(tmp_path, (6, 8))
    assert found.shape == (12, 3, 6, 8) and found[:, 0, 0, 0].tolist() == list(range(12))
    write_png(tmp_path / "sheet.png", np.zeros((50, 40, 3), np.uint8))  # as filmgrain sample leaves one
    assert len(in_folder(tmp_path)) == 12
    write_png(tmp_path / "larger.png", np.zeros((50, 40, 3), np.uint8))
    with pytest.raises(NoData, match=r"larger\.png is 50x40, but the run's data are 6x8"):
        next(of_folder(tmp_path, (6, 8)))
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(NoData, match="holds no pictures"):
            in_folder(folder)


def test_numbers_are_those_of_the_distances():
    samples = cloud(MEANS, of_data(Noise(60, (3, 8, 8)), range(60), 0), 60)
    reference = cloud(MEANS, of_data(Noise(90, (3, 4, 4)), range(90), 0), 90)
    told = []
    found = measure(samples, reference, Config(halves=3), lambda *done: told.append(done))
    assert list(found) == ["fd", "kid", "precision", "recall", "density", "coverage"]
    assert found["fd"].value == frechet(samples.features, reference.features)
    assert found["kid"].value == kid(samples.features, reference.features)
    assert all(len(number.halves) == 3 for number in found.values())
    assert told == [(i, 9) for i in range(1, 10)]
    assert all(low >= 0 for name, number in found.items() if name != "kid" for low in number.interval)
    same = measure(samples, samples, Config(halves=20, measures=("manifold",)))["precision"]
    assert same.value == 1 and same.error > 0 and same.interval[1] == 1  # no share is above 1
    assert list(measure(samples, reference, Config(halves=0, measures=("kid",)))) == ["kid"]


def test_too_few_are_refused_before_they_are_made():
    """Mistake 21 of the field: FID from one batch."""
    config = Config()
    config.check(258, 258, 128)
    for counts, name in (((257, 300), "257 samples"), ((300, 257), "257 pictures of the reference")):
        with pytest.raises(TooFew) as error:
            config.check(*counts, 128)
        for text in (name, "128 features", "take 258 or more", "better 1280", "leave fd out of --measures"):
            assert text in str(error.value)
    Config(halves=0).check(129, 129, 128)
    with pytest.raises(TooFew, match="take 129 or more"):
        Config(halves=0).check(128, 300, 128)
    Config(measures=("kid", "manifold")).check(12, 12, 128)
    with pytest.raises(TooFew, match="11 samples are too few for manifold"):
        Config(measures=("kid", "manifold")).check(11, 12, 128)


@pytest.mark.parametrize("wrong", [{"measures": ("fid",)}, {"measures": ()}, {"halves": -1}, {"halves": 1}])
def test_config_refuses(wrong):
    with pytest.raises(ValueError, match=r"use some of fd, kid, manifold|use 0 for no intervals"):
        Config(**wrong)
    assert set(MEASURES) == set(Config().measures)


PROTOCOL = {"extractor": "means-1a2b", "extractor_sha256": "1a2b" * 16, "samples": 500, "seed": 0, "split": "held_out"}
SAMPLING = {"sampler": "ddim", "steps": 50, "options": {"eta": 0.0}, "weights": "ema", "levels": ()}
NUMBERS = {"fd[means-1a2b]": Number(2.0, (2.5, 3.0, 2.0)), "kid[means-1a2b]": Number(0.1, (0.1, 0.2, 0.0))}
FIRST = Evaluation(protocol=PROTOCOL, sampling=SAMPLING, made={"run": "runs/a"}, numbers=NUMBERS)


@pytest.fixture
def saved(tmp_path):
    """Writes an evaluation and reads it again."""

    def saved(evaluation):
        path = tmp_path / f"{hashlib.sha256(evaluation.dumps().encode()).hexdigest()[:8]}.json"
        path.write_text(evaluation.dumps())
        return protocol.load(path)

    return saved


def test_an_evaluation_is_read_as_it_was_written(saved):
    first = replace(FIRST, further={"likelihood": {"bits_per_dimension": 3.2, "error": float("nan")}})
    again = saved(first)
    assert again.protocol == PROTOCOL and again.numbers == NUMBERS and again.made == {"run": "runs/a"}
    assert again.further == {"likelihood": {"bits_per_dimension": 3.2, "error": None}}
    assert again.dumps() == saved(again).dumps()
    row = json.loads(first.dumps())["numbers"]["fd[means-1a2b]"]
    assert row["value"] == 2 and row["error"] == 0.5 and row["unbiased"] == pytest.approx(1.5)
    assert row["low"] == pytest.approx(2 - 1.96 * 0.5)


def test_without_intervals_there_is_no_nan_in_the_file(saved):
    one = saved(replace(FIRST, numbers={"fd[x]": Number(1.0, ())}))
    assert one.numbers["fd[x]"] == Number(1.0, ())


def test_what_can_be_compared_is_subtracted_half_by_half(saved):
    better = {"fd[means-1a2b]": Number(1.5, (2.0, 2.6, 1.4))}
    found = compare(saved(FIRST), saved(replace(FIRST, made={"run": "runs/b"}, numbers=better)))
    assert list(found) == ["fd[means-1a2b]"]
    assert found["fd[means-1a2b]"].value == -0.5
    assert found["fd[means-1a2b]"].halves == pytest.approx((-0.5, -0.4, -0.6))


@pytest.mark.parametrize("key", PROTOCOL)
def test_different_protocols_are_refused_and_what_differs_is_named(saved, key):
    other = replace(FIRST, protocol=PROTOCOL | {key: "another"})
    with pytest.raises(Incomparable) as error:
        compare(saved(FIRST), saved(other))
    assert f"{key} is {PROTOCOL[key]}"[:40] in str(error.value) and "and another" in str(error.value)
    assert str(error.value).count(" is ") == 1
    with pytest.raises(Incomparable, match=f"differ in {key} cannot be compared"):
        compare(saved(FIRST), saved(other), vary=[key])
    missing = replace(FIRST, protocol={k: v for k, v in PROTOCOL.items() if k != key})
    with pytest.raises(Incomparable, match=f"{key} is .* and not said"):
        compare(saved(FIRST), saved(missing))


def test_another_way_of_sampling_must_be_named(saved):
    other = replace(FIRST, sampling=SAMPLING | {"sampler": "heun", "steps": 25})
    with pytest.raises(Incomparable) as error:
        compare(saved(FIRST), saved(other), vary=["sampler"])
    assert "steps is 50 and 25; if that is what you compare, add --vary steps" in str(error.value)
    assert "sampler" not in str(error.value)
    for vary in (["sampler", "steps"], ["all"]):
        assert len(compare(saved(FIRST), saved(other), vary=vary)) == 2
    with pytest.raises(Incomparable, match="known: all, sampler, steps"):
        compare(saved(FIRST), saved(other), vary=["colour"])


def test_nothing_in_common_is_refused(saved):
    with pytest.raises(Incomparable, match="no number in common"):
        compare(saved(FIRST), saved(replace(FIRST, numbers={"recall[means-1a2b]": Number(1.0, ())})))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"numbers": {"a": 1}}', '{"numbers": {}, "protocol": 3}', "\x80"])
def test_another_file_is_no_evaluation(tmp_path, text):
    path = tmp_path / "notes.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"notes\.json is no evaluation") as error:
        protocol.load(path)
    assert "\n" not in str(error.value)


def test_samples_in_batches_are_those_all_at_once():
    """Of a clip a frame is drawn by its number, wherever its batch begins."""
    x = torch.rand(5, 3, 7, 2, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (whole,) = of_samples(x, 3)
    parts = [next(of_samples(x[first : first + 2], 3, first)) for first in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)
