"""Images behind the frames of clips: what is drawn, of what, and how it is told."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from filmgrain.data import image_folder, moving_shapes
from filmgrain.data.joint import Joint, told
from filmgrain.data.loader import Loader

CLIPS = moving_shapes.Dataset(moving_shapes.Config(clips=6, frames=3, height=8, width=8))


class Numbered:
    """Clips of two frames: 10 index + frame in every pixel."""

    def __len__(self):
        return 4

    def item(self, index, rng):
        x = np.stack([np.full((3, 4, 4), 10 * index + frame, np.uint8) for frame in range(2)], axis=1)
        return {"x": x, "source": str(index), "caption": f"clip {index}", "fps": 12.0, "frame_skip": 4}

    def summary(self):
        return ["numbered"]


def test_the_clip_is_the_one_without_images_and_more_images_begin_with_the_fewer():
    few, many = (Joint(CLIPS, count) for count in (2, 4))
    for n in range(6):
        alone, x, more = (data.item(n, random.Random(n))["x"] for data in (CLIPS, few, many))
        assert x.shape == (3, 5, 8, 8) and more.shape == (3, 7, 8, 8) and x.dtype == np.uint8
        assert np.array_equal(x[:, :3], alone) and np.array_equal(more[:, :5], x)


def test_images_are_any_frame_of_any_other_clip_and_bring_what_is_said_of_it():
    seen = set()
    for n in range(60):
        item = Joint(Numbered(), 2).item(1, random.Random(n))
        values = item["x"][0, :, 0, 0].tolist()
        assert values[:2] == [10, 11] and item["source"] == "1"
        assert item["caption"] == ["clip 1", *(f"clip {value // 10}" for value in values[2:])]
        assert item["fps"] == [12.0, 0.0, 0.0] and item["frame_skip"] == [4, 0, 0]  # a still has no pace
        seen |= {*values[2:]}
    assert seen == {0, 1, 20, 21, 30, 31}


def test_draws_are_functions_of_their_number():
    whole = Loader(Joint(CLIPS, 2), batch=4, seed=3).batches()
    first, second = next(whole), next(whole)
    again = next(Loader(Joint(CLIPS, 2), batch=2, seed=3, workers=2).batches(4))
    assert torch.equal(again["x"], second["x"][:2]) and again["caption"] == second["caption"][:2]
    assert not torch.equal(first["x"], second["x"])


def test_clips_with_an_order_of_their_own_keep_it():
    class Ordered(Numbered):
        def index_of(self, n, seed):
            return (7 * n + seed) % 4

    joint = Loader(Joint(Ordered(), 1), batch=1, seed=2)
    assert [joint.draw(n)["source"] for n in range(4)] == ["2", "1", "0", "3"]


def test_what_is_told_of_a_batch_is_of_each_clip_and_its_images_in_turn():
    batch = next(Loader(Joint(Numbered(), 2), batch=2, seed=0).batches())
    said = told(batch)
    assert said.keys() == {"caption", "fps", "frame_skip"} and said["fps"] == [12, 0, 0, 12, 0, 0]
    values = batch["x"].add(1).mul(127.5).round()[:, 0, [0, 2, 3], 0, 0].flatten().tolist()
    assert said["caption"] == [f"clip {int(value) // 10}" for value in values]


def test_pictures_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for value in (200, 210):
        Image.new("RGB", (9, 7), (value,) * 3).save(tmp_path / f"{value}.png")
    pictures = image_folder.Dataset(image_folder.Config(folder=str(tmp_path), height=4, width=4, held_out=0.0))
    joint = Joint(Numbered(), 3, pictures)
    item = joint.item(2, random.Random(0))
    assert set(item["x"][:, 2:].flatten().tolist()) <= {200, 210} and item["x"].shape == (3, 5, 4, 4)
    assert item["caption"] == ["clip 2", "", "", ""] and item["fps"] == [12.0, 0.0, 0.0, 0.0]
    assert joint.summary()[:2] == ["numbered", "3 images behind each clip, of 2 pictures"]


def test_a_single_clip_has_no_others():
    with pytest.raises(ValueError, match="2 images a clip are frames of other clips, and there is one clip"):
        Joint(moving_shapes.Dataset(moving_shapes.Config(clips=1)), 2)
