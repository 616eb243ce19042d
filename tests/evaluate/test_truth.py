"""What a clip shows of what was asked for: real clips are read as what they are, and each fault is seen."""

import random

import numpy as np
import pytest
import torch

from filmgrain.data.moving_shapes import MOTIONS, REACH, Config, Dataset, Shape, draw_shape, render
from filmgrain.evaluate.paths import LEGAL, fits, fold
from filmgrain.evaluate.truth import LOST, measure, rows, said, shown, windows

SIZES = [(8, 32), (16, 32), (8, 64), (16, 64)]


def real(frames, side, count):
    data = Dataset(Config(frames=frames, height=side, width=side))
    for index in range(count):
        item = data.item(index)
        yield item["x"].transpose(1, 2, 3, 0), item["truth"][0]


def ways(frames, side, count, noise, seed=0):
    """True motions, and ways as they would be read, without the drawing."""
    rng = np.random.default_rng(seed)
    data = Dataset(Config(frames=frames, height=side, width=side))
    for index in range(count):
        shape = draw_shape(data.config, random.Random(index))
        way = shape.position - REACH * shape.radius + rng.normal(0, noise, (frames, 2))
        yield shape.motion, way, np.full(2, side - 2 * REACH * shape.radius)


@pytest.mark.parametrize(("frames", "side"), SIZES)
def test_motions_are_told_apart(frames, side):
    """Of ways read with an error of a twentieth of a pixel, as those of real clips are."""
    right = [
        fits(way, np.arange(frames), room, side, side)[0].motion == motion
        for motion, way, room in ways(frames, side, 250, noise=0.05)
    ]
    assert np.mean(right) >= 0.98


def test_wobbling_ways_are_still_told_apart():
    """A fifth of a pixel of 32, as samples of a model have."""
    found = [
        fits(way, np.arange(16), room, 32, 32)[0].motion == motion for motion, way, room in ways(16, 32, 150, noise=0.2)
    ]
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize(("frames", "side", "count"), [(8, 32, 30), (16, 64, 8)])
def test_real_clips_are_what_their_captions_say(frames, side, count):
    clips, truths = zip(*real(frames, side, count), strict=True)
    table = rows(torch.tensor(np.stack(clips)).permute(0, 4, 1, 2, 3))
    captions = [truth.caption for truth in truths]
    found = measure(table, captions, halves=4, seed=0)
    assert list(found) == [
        *("right[caption]", "right[kind]", "right[colour]", "right[motion]", "kept[shape]", "legal[way]", "off[way]")
    ]  # fmt: skip
    assert all(found[name].value >= 0.96 for name in list(found)[:6])
    assert found["off[way]"].value < 0.002
    turned = measure(table, captions[1:] + captions[:1], halves=4, seed=0)
    assert turned["right[caption]"].value < 0.1 < turned["kept[shape]"].value  # asked for otherwise, and still sound


CIRCLE = Shape("circle", "red", "left", 6.0, np.linspace([20.0, 16.0], [13.0, 16.0], 8))


def moved(position):
    return render([Shape("circle", "red", "left", 6.0, position)], 32, 32)


@pytest.mark.parametrize(
    ("step", "motion"),
    [((-1, 0), "left"), ((1, 0), "right"), ((0, -1), "up"), ((0, 1), "down"), ((0.6, 0.6), "bouncing")],
)
def test_each_direction(step, motion):
    start = np.array([16.0, 16.0]) - 3.5 * np.array(step)
    assert shown(moved(start + np.arange(8)[:, None] * np.array(step))).motion == motion


def test_a_turn_in_a_wall_and_a_turn_on_an_orbit():
    room = 32 - 2 * REACH * 6.0
    turned = fold(13.0 + 1.3 * np.arange(8), room)
    assert shown(moved(np.stack([turned, 8.0 + 0.5 * np.arange(8)], 1) + REACH * 6.0)).motion == "bouncing"
    angle = 0.25 * np.arange(8)
    assert shown(moved(16 + 5 * np.stack([np.cos(angle), np.sin(angle)], 1))).motion == "circling"


def test_a_way_that_no_shape_goes_is_none():
    """Its distance says how far: what stands still, what jitters, what goes too fast."""
    true = shown(moved(CIRCLE.position))
    assert (true.motion, true.distance < 0.001) == ("left", True)
    still = shown(moved(np.repeat(CIRCLE.position[:1], 8, 0)))
    jitter = shown(moved(CIRCLE.position + 2.0 * np.array([1, -1] * 4)[:, None]))
    fast = shown(moved(np.linspace([24.0, 16.0], [8.0, 16.0], 8)))
    for wrong in (still, jitter, fast):
        assert wrong.motion is None and wrong.distance > LEGAL
        assert wrong.kind == "circle" and wrong.colour == "red"
    # 0.48 pixels a frame are the least: 8 frames of it, about their mean
    assert still.distance == pytest.approx(0.48 * np.arange(8).std() / 2**0.5 / 32, rel=0.05)


def test_a_shape_that_is_gone_for_a_frame_is_followed_and_not_kept():
    clip = moved(CIRCLE.position)
    clip[3] = (24, 24, 32)
    found = shown(clip)
    assert found.motion == "left" and not found.kept
    clip[1:] = (24, 24, 32)
    assert shown(clip).motion is None and shown(clip).distance == LOST


def test_captions():
    assert said("An orange Star, moving up!") == {"colour": "orange", "kind": "star", "motion": "up"}
    for motion in MOTIONS:
        assert said(Shape("ring", "cyan", motion, 1.0, np.zeros((1, 2))).caption)["motion"] == motion
    for wrong, says in (("a red circle", "no motion"), ("a red or blue circle moving up", "red and blue")):
        with pytest.raises(ValueError, match=says):
            said(wrong)


def test_a_jump_is_in_the_windows_that_hold_it():
    """16 frames to the left, and 16 to the right, six pixels higher: a legal way before and behind, and none around."""
    left = np.linspace([22.0, 22.0], [11.0, 22.0], 16)
    clips = torch.tensor(moved(np.concatenate([left, left[::-1] - [0.0, 6.0]]))).permute(3, 0, 1, 2)[None]
    table = windows(clips, 16, 8)
    assert [MOTIONS[int(way)] if way >= 0 else None for way in table[0, :, 2]] == ["left", None, "right"]
    found = measure(table, halves=4, seed=0)
    assert found["legal[way]"].value == found["kept[shape]"].value == pytest.approx(2 / 3)
    assert measure(rows(clips), halves=4, seed=0)["legal[way]"].value == 0
    with pytest.raises(ValueError, match="windows of 33 frames of clips of 32"):
        windows(clips, 33, 8)
