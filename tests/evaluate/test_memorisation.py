"""A model that repeats its training data is found out in features and in pixels, and shown beside what it repeats."""

import numpy as np
import pytest
import torch

from filmgrain.evaluate import neighbours
from filmgrain.evaluate.features import Extractor
from filmgrain.evaluate.memorisation import SHOWN, memorisation, sheet
from filmgrain.files.sheet import GREY

SIZE = 8


class Mirrored(torch.nn.Module):
    """Features that do not see left from right: a row of each, summed with its mirror image."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        x = images.float() * self.weight
        return (x + x.flip(-1)).flatten(1)


MIRRORED = Extractor(network=Mirrored(), kind="mirrored", size=3 * SIZE * SIZE, resize="none")


class Pictures:
    """Random pictures, the same for the same numbers; as grey as data may be."""

    def __init__(self, first, count):
        self.first, self.count = first, count

    def __len__(self):
        return self.count

    def item(self, index, rng):
        dice = np.random.default_rng(self.first + index)
        return {"x": dice.integers(256, size=(1, SIZE, SIZE), dtype=np.uint8), "source": str(index)}


TRAIN, HELD_OUT = Pictures(0, 150), Pictures(1000, 80)


def pictures(data, count):
    return torch.from_numpy(np.stack([data.item(i, None)["x"] for i in range(count)])).expand(-1, 3, -1, -1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(neighbours, "AGAIN", 200)


def test_copies_are_found_in_both_spaces_and_mirrored_ones_in_features():
    new = memorisation(pictures(Pictures(5000, 60), 60), TRAIN, HELD_OUT, MIRRORED, seed=0).copying
    assert not new["features"].copies and not new["pixels"].copies
    assert new["pixels"].ratio == pytest.approx(1, abs=0.05)
    copies = memorisation(pictures(TRAIN, 60), TRAIN, HELD_OUT, MIRRORED, seed=0)
    assert all(found.copies and found.ratio < 1e-6 for found in copies.copying.values())
    turned = memorisation(pictures(TRAIN, 60).flip(-1), TRAIN, HELD_OUT, MIRRORED, seed=0).copying
    assert turned["features"].copies and not turned["pixels"].copies
    both = memorisation(pictures(TRAIN, 60).flip(-1), TRAIN, HELD_OUT, MIRRORED, seed=0, mirrored=True)
    assert both.copying["pixels"].copies and both.copying["pixels"].ratio < 1e-6
    order = [int(n) for n in both.nearest["pixels"].index[:3, 0]]  # draws of the loader, which are items 0, 1, 2
    assert order == [int(n) for n in copies.nearest["pixels"].index[:3, 0]]
    new = memorisation(pictures(Pictures(5000, 60), 60), TRAIN, HELD_OUT, MIRRORED, seed=0, mirrored=True)
    assert not new.copying["pixels"].copies
    row = copies.row()
    assert (row["samples"], row["held_out"]) == (60, 80) and row["features"]["copies"] is True


def test_distances_in_pixels_are_in_levels_of_grey():
    """A copy with 10 added to each pixel is 10 away."""
    darker = torch.full((1, 3, SIZE, SIZE), 100, dtype=torch.uint8)

    class One:
        def __len__(self):
            return 1

        def item(self, index, rng):
            return {"x": np.full((1, SIZE, SIZE), 110, np.uint8), "source": ""}

    found = memorisation(darker, One(), One(), MIRRORED, seed=0)
    assert found.nearest["pixels"].distance.item() == pytest.approx(10)


def test_the_sheet_shows_the_most_suspicious_first():
    """Sample 30 of 60 is a copy: it is in the first row, beside itself in both spaces."""
    samples = pictures(Pictures(5000, 60), 60).clone()
    samples[30] = pictures(TRAIN, 8)[7]
    told = []
    found = memorisation(samples, TRAIN, HELD_OUT, MIRRORED, seed=3, progress=lambda *done: told.append(done))
    assert told[-1] == (300, 300) and [done for done, _ in told] == sorted(done for done, _ in told)
    drawn = sheet(found, TRAIN, rows=3)
    scale, columns, rows = 12, 1 + 2 * (1 + SHOWN), 3
    side = SIZE * scale + 2
    assert drawn.shape[0] == 2 + rows * side
    tiles = drawn[:, drawn.shape[1] - columns * side :]
    first = [
        tiles[2 : side - 2 : scale, 2 + c * side - 2 : (c + 1) * side - 2 : scale][:SIZE, :SIZE] for c in range(columns)
    ]
    wanted = samples[30].permute(1, 2, 0).numpy()
    for column in (0, 2, 2 + SHOWN + 1):
        assert np.array_equal(first[column], wanted), column
    assert (first[1] == GREY).all() and not np.array_equal(first[3], wanted)


def test_without_data_held_out_there_are_neighbours_and_no_verdict():
    found = memorisation(pictures(TRAIN, 20), TRAIN, Pictures(0, 0), MIRRORED, seed=0)
    assert found.copying == {} and found.row() == {"samples": 20, "held_out": 0}
    assert sheet(found, TRAIN, rows=2).ndim == 3
