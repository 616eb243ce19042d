"""Frames come out of the decoders' sheets as they went in, and a file that is read whole has a bound."""

import numpy as np
import pytest
from PIL import Image, ImageOps, ImageSequence
from samples import ANIMATIONS, STILLS, disc

from filmgrain.files import pictures, stack
from filmgrain.files.stack import Stack
from filmgrain.files.video import Unreadable, moves, probe, read


def plainly(path):
    """Each frame by itself, as Pillow gives it."""
    with Image.open(path) as image:
        shown = [ImageOps.exif_transpose(frame).convert("RGB") for frame in ImageSequence.Iterator(image)]
    return np.stack([np.asarray(frame) for frame in shown])


@pytest.mark.parametrize("name", [*ANIMATIONS, *STILLS])
@pytest.mark.parametrize("at_once", [1, 48 * 64 * 3, 48 * 64 * 100])
def test_every_frame_is_what_pillow_makes_of_it(sample, monkeypatch, name, at_once):
    """One, three, or all frames on a sheet, whose last one is not full."""
    monkeypatch.setattr(stack, "AT_ONCE", at_once)
    np.testing.assert_array_equal(read(sample(name)).frames, plainly(sample(name)))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_more_or_fewer_frames_than_were_expected(count):
    gathered = Stack(4, 48, 64)
    for frame in disc(count):
        gathered.add(Image.fromarray(frame))
    np.testing.assert_array_equal(gathered.array(), disc(count))


def test_frames_drawn_over_one_another_do_not_change_those_before(tmp_path):
    """Pillow draws each frame of a GIF over the last, in place."""
    clip = np.zeros((4, 16, 16, 3), np.uint8)
    for index in range(4):
        clip[index:, 4 * index : 4 * index + 4] = 60 * (index + 1)
    first, *rest = (Image.fromarray(frame) for frame in clip)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, disposal=1)
    np.testing.assert_array_equal(read(tmp_path / "a.gif").frames, clip)


@pytest.mark.parametrize("look", [read, probe, moves])
def test_a_picture_of_too_many_bytes_is_not_read(sample, monkeypatch, look):
    monkeypatch.setattr(pictures, "LARGEST", 100)
    with pytest.raises(Unreadable, match=r"a\.gif: has .* bytes; a picture or animation may have 100"):
        look(sample("a.gif"))
    assert look(sample("h264.mp4")) is not None
