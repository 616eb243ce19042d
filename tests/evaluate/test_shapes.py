"""The ground-truth metric: real clips pass it, and every way of spoiling a clip fails it."""

import numpy as np
import pytest

from filmgrain.data.moving_shapes import BACKGROUND, COLOURS, KINDS, Config, Dataset, Shape, render
from filmgrain.evaluate.shapes import Reading, read, summary

SIZES = [(8, 32, 32), (16, 64, 64), (10, 24, 40), (6, 40, 24)]
COUNTS = [110, 25, 40, 40]  # clips read of each; below 100, all must be kept


def clips(size, count):
    frames, height, width = size
    data = Dataset(Config(frames=frames, height=height, width=width))
    for index in range(count):
        item = data.item(index)
        yield item["x"].transpose(1, 2, 3, 0), item["truth"][0]


@pytest.mark.parametrize(("size", "count"), [*zip(SIZES, COUNTS, strict=True)], ids=str)
def test_real_clips_are_kept_and_read_as_what_they_are(size, count):
    readings = []
    for clip, truth in clips(size, count):
        reading = read(clip)
        readings.append(reading)
        if reading.kept:
            assert (reading.kind, reading.colour) == (truth.kind, truth.colour)
            seen = np.array([frame.position for frame in reading.frames])
            assert np.abs(seen - truth.position).max() < 0.25
    assert summary(readings)["kept"] >= 0.99


def test_clips_as_they_come_out_of_a_model_are_kept():
    """A little noise and blur are not a fault: what the clip shows is still clear."""
    rng = np.random.default_rng(0)
    readings = []
    for clip, _ in clips((8, 32, 32), 40):
        soft = clip.astype(float)
        soft = 0.8 * soft + 0.1 * np.roll(soft, 1, axis=1) + 0.1 * np.roll(soft, 1, axis=2)
        readings.append(read(np.clip(soft + rng.normal(0, 5, soft.shape), 0, 255).astype(np.uint8)))
    assert summary(readings)["kept"] >= 0.9


def redrawn(truth, clip, *, frame, **changes):
    """The clip with one frame of a shape that differs from the true one."""
    shape = Shape(**{**vars(truth), **changes})
    spoilt = clip.copy()
    spoilt[frame] = render([shape], *clip.shape[1:3])[frame]
    return spoilt


def flicker(clip, truth):
    other = list(COLOURS)[(list(COLOURS).index(truth.colour) + 1) % len(COLOURS)]
    return redrawn(truth, clip, frame=3, colour=other)


def swap(clip, truth):
    other = {
        "circle": "cross",
        "square": "ring",
        "triangle": "circle",
        "cross": "square",
        "ring": "star",
        "star": "square",
    }
    return redrawn(truth, clip, frame=4, kind=other[truth.kind])


def teleport(clip, truth):
    """In the last frame the shape is in the far corner."""
    size = np.array([clip.shape[2], clip.shape[1]])
    reach = 1.25 * truth.radius
    return redrawn(truth, clip, frame=-1, position=np.where(truth.position < size / 2, size - reach, reach))


def to_and_fro(clip, truth):
    """Every other frame is half a picture away."""
    spoilt = clip.copy()
    spoilt[1::2] = np.roll(clip[1::2], clip.shape[2] // 2, axis=2)
    return spoilt


def noise(clip, truth):
    rng = np.random.default_rng(0)
    return np.clip(clip + rng.normal(0, 60, clip.shape), 0, 255).astype(np.uint8)


def only_noise(clip, truth):
    return np.random.default_rng(0).integers(0, 256, clip.shape, dtype=np.uint8)


def vanish(clip, truth):
    spoilt = clip.copy()
    spoilt[2] = BACKGROUND
    return spoilt


def nothing(clip, truth):
    return np.broadcast_to(np.array(BACKGROUND, np.uint8), clip.shape)


def grey(clip, truth):
    return np.full_like(clip, 128)


def ghost(clip, truth):
    """A second shape beside the first, in one frame."""
    return np.maximum(
        clip, np.roll(clip, clip.shape[2] // 2, axis=2) * (np.arange(len(clip)) == 3)[:, None, None, None]
    )


def torn(clip, truth):
    """Half of the shape is missing in one frame."""
    spoilt = clip.copy()
    spoilt[1, :, : int(truth.position[1, 0])] = BACKGROUND
    return spoilt


def fading(clip, truth):
    """The shape fades into the background over the clip."""
    fade = np.linspace(1, 0.2, len(clip))[:, None, None, None]
    return (fade * clip + (1 - fade) * np.array(BACKGROUND)).round().astype(np.uint8)


def drift_of_colour(clip, truth):
    """Each frame's colour is its own: the naive model's failing."""
    names = list(COLOURS)
    first = names.index(truth.colour)
    spoilt = clip
    for i in range(len(clip)):
        spoilt = redrawn(truth, spoilt, frame=i, colour=names[(first + i) % len(names)])
    return spoilt


SPOILERS = [flicker, swap, teleport, to_and_fro, noise, only_noise, vanish, nothing, grey, ghost, torn, fading]
SPOILERS += [drift_of_colour]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_clip_is_not_kept(spoil):
    for size in ((8, 32, 32), (8, 24, 40)):
        assert summary([read(spoil(clip, truth)) for clip, truth in clips(size, 12)])["kept"] == 0


def test_each_fault_is_named():
    named = {"flicker": "keeps_colour", "swap": "keeps_kind", "vanish": "keeps_kind", "nothing": "keeps_kind"}
    for spoil in SPOILERS:
        if fault := named.get(spoil.__name__):
            assert summary([read(spoil(clip, truth)) for clip, truth in clips((8, 32, 32), 8)])[fault] == 0


def test_a_shape_that_jumps_is_not_moving_smoothly():
    truth = Shape("circle", "red", "left", 6.0, np.linspace([20.0, 16.0], [12.0, 16.0], 8))
    assert read(render([truth], 32, 32)).kept
    for far, smooth in ((2.0, True), (5.0, False)):
        position = truth.position.copy()
        position[4:] -= (0, far)
        reading = read(render([Shape("circle", "red", "left", 6.0, position)], 32, 32))
        assert reading.keeps_kind and reading.keeps_colour and reading.moves_smoothly is smooth


def test_all_kinds_and_colours_are_told_apart():
    for kind in KINDS:
        for colour in COLOURS:
            shape = Shape(kind, colour, "left", 6.5, np.array([[16.3, 15.6]]))
            reading = read(render([shape], 32, 32))
            assert (reading.kind, reading.colour, reading.kept) == (kind, colour, True)


def test_the_summary_counts():
    good, bad = read(next(clips((8, 32, 32), 1))[0]), read(np.zeros((2, 32, 32, 3), np.uint8))
    assert isinstance(good, Reading)
    figures = summary([good, good, bad, bad])
    assert figures["kept"] == 0.5 and figures["different"] == 1
