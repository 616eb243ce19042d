"""Moving shapes: the truth is what the picture shows, and every clip is a function of (seed, split, index)."""

import random
import re
from collections import Counter

import numpy as np
import pytest

from filmgrain.data.moving_shapes import (
    BACKGROUND,
    COLOURS,
    KINDS,
    MOTIONS,
    REACH,
    Config,
    Dataset,
    coverage,
    draw_shape,
    render,
)

SIZES = [(8, 32, 32), (16, 64, 64), (10, 24, 40), (1, 40, 24)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


def world(size, **changes):
    frames, height, width = size
    return Dataset(Config(frames=frames, height=height, width=width, **changes))


def shapes(size, count):
    """Many truths, without their pictures."""
    config = world(size).config
    return (draw_shape(config, random.Random(seed)) for seed in range(count))


@sizes
def test_an_item_is_a_clip_with_its_truth(size):
    data = world(size)
    item, (frames, height, width) = data.item(3), size
    assert item["x"].dtype == np.uint8 and item["x"].shape == (3, frames, height, width) == data.config.shape
    (shape,) = item["truth"]
    assert shape.position.shape == shape.velocity.shape == (frames, 2)
    assert item["label"] == list(KINDS).index(shape.kind) and item["caption"] == shape.caption
    assert item["source"] == "moving_shapes:0:train:3"


@sizes
def test_the_centre_is_where_the_truth_says(size):
    """Read back from the picture: its distance from the background, which is the cover times a constant, has its
    centroid at the true position within 0.1 px."""
    data, worst = world(size), 0.0
    for index in range(30):
        item = data.item(index)
        (shape,) = item["truth"]
        cover = np.linalg.norm(item["x"].astype(float) - np.array(BACKGROUND)[:, None, None, None], axis=0)
        y, x = np.mgrid[: size[1], : size[2]] + 0.5
        seen = np.stack([(x * cover).sum((1, 2)), (y * cover).sum((1, 2))], axis=1) / cover.sum((1, 2))[:, None]
        worst = max(worst, np.abs(seen - shape.position).max())
    assert worst < 0.1


def test_the_picture_has_the_colour_and_the_area_of_the_truth():
    data = world((4, 64, 64))
    for index in range(40):
        item = data.item(index)
        (shape,) = item["truth"]
        inside = coverage(shape.kind, shape.radius, shape.position, 64, 64)
        full, empty = inside == 1, inside == 0
        frames = item["x"].transpose(1, 2, 3, 0)
        assert (frames[full] == COLOURS[shape.colour]).all() and full.any()
        assert (frames[empty] == BACKGROUND).all() and empty.any()


@pytest.mark.parametrize(("kind", "area"), [("circle", np.pi), ("square", 1.76**2), ("ring", 4 * np.pi * 0.78 * 0.27)])
def test_a_drawing_covers_the_area_of_its_shape(kind, area):
    cover = coverage(kind, 10.0, np.array([[20.3, 18.9]]), 40, 40)
    assert cover.sum() == pytest.approx(100 * area, rel=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_balanced_and_within_its_reach(kind):
    cover = coverage(kind, 100.0, np.array([[150.0, 150.0]]), 300, 300)[0]
    y, x = np.mgrid[:300, :300] + 0.5 - 150
    assert abs((x * cover).sum() / cover.sum()) < 0.05 and abs((y * cover).sum() / cover.sum()) < 0.05
    assert np.hypot(x, y)[cover > 0].max() <= 100 * REACH + 1


@sizes
def test_a_shape_never_leaves_the_frame(size):
    _, height, width = size
    for shape in shapes(size, 1000):
        reach = REACH * shape.radius - 1e-9
        assert (shape.position >= reach).all() and (shape.position <= np.array([width, height]) - reach).all()


def test_clips_are_a_function_of_seed_split_and_index():
    config = Config(frames=4, height=16, width=16, clips=50)
    train, again = Dataset(config), Dataset(config)
    for index in (7, 3, 7):
        assert (train.item(index)["x"] == again.item(index)["x"]).all()
    others = [Dataset(config, "held_out"), Dataset(Config(frames=4, height=16, width=16, clips=50, seed=1))]
    for other in others:
        assert not (other.item(7)["x"] == train.item(7)["x"]).all()
    assert (len(train), len(others[0])) == (50, 5)
    assert len({train.item(index)["x"].tobytes() for index in range(50)}) == 50


def test_every_kind_colour_and_motion_is_reached():
    drawn = Counter((shape.kind, shape.colour, shape.motion) for shape in shapes((2, 8, 8), 3000))
    assert len(drawn) == len(KINDS) * len(COLOURS) * len(MOTIONS) == 288
    assert max(drawn.values()) < 5 * 3000 / 288
    only = Dataset(Config(frames=2, height=8, width=8, kinds=("star",), colours=("cyan", "red"), motions=("up",)))
    assert {only.item(i)["caption"] for i in range(40)} == {"a cyan star moving up", "a red star moving up"}


@sizes
def test_shapes_move_as_they_are_said_to(size):
    frames, *_ = size
    ways = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
    for shape in shapes(size, 300 if frames > 1 else 0):
        if shape.motion in ways:
            way = np.array(ways[shape.motion])
            assert (shape.velocity @ way > 0).all() and np.abs(shape.velocity @ way[::-1]).max() < 1e-9
        else:
            assert np.hypot(*np.diff(shape.position, axis=0).T).max() > 0


def test_what_is_named_twice_occurs_twice_as_often():
    world = Dataset(Config(height=8, width=8, frames=1, motions=("left", "bouncing", "bouncing")))
    bouncing = sum(world.item(i)["truth"][0].motion == "bouncing" for i in range(600))
    assert 350 < bouncing < 450 and "2 motions" in world.summary()[1]


def test_captions_are_grammatical():
    grammar = re.compile(
        r"(an orange|a (red|green|blue|yellow|magenta|cyan|white)) (circle|square|triangle|cross|ring|star) "
        r"(moving (left|right|up|down)|bouncing|circling)"
    )
    data = world((1, 8, 8))
    assert all(grammar.fullmatch(data.item(index)["caption"]) for index in range(300))
    two = world((2, 32, 32), shapes=2).item(0)
    assert all(grammar.fullmatch(part) for part in two["caption"].split(" and ")) and len(two["truth"]) == 2


def test_later_shapes_are_in_front():
    back, front = (
        draw_shape(Config(frames=1, colours=(colour,), kinds=("square",)), random.Random(1))
        for colour in ("red", "blue")
    )
    assert (front.position == back.position).all()
    frame = render([back, front], 64, 64)[0]
    x, y = front.position[0].astype(int)
    assert tuple(frame[y, x]) == COLOURS["blue"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frames": 0}, "frames=0"),
        ({"shapes": 0}, "shapes=0"),
        ({"clips": -1}, "clips=-1"),
        ({"height": 7}, "7x64 is too small"),
        ({"kinds": ("circle", "blob")}, '"blob", which is not one of circle'),
        ({"colours": ("pink",)}, '"pink"'),
        ({"motions": ("sideways",)}, '"sideways"'),
        ({"kinds": ()}, "kinds is empty"),
        ({"fps": 0.0}, "fps=0.0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(wrong, words):
    with pytest.raises(ValueError, match=words) as caught:
        Config(**wrong)
    assert "\n" not in str(caught.value)
