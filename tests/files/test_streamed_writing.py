"""Videos written a part at a time: the same frames as in one piece, and nothing left of what fails."""

import numpy as np
import pytest
from samples import disc

from filmgrain.files.encode import read_recipe, write_gif, write_mp4
from filmgrain.files.stream import reversing, streaming
from filmgrain.files.video import read

WRITERS = {"gif": write_gif, "mp4": write_mp4}
kinds = pytest.mark.parametrize("kind", WRITERS)


@kinds
def test_parts_make_the_file_of_the_whole(tmp_path, kind):
    frames = disc(10).repeat(2, axis=1)[:, :45, :63]  # odd sizes
    with streaming(tmp_path / f"parts.{kind}", 12.5, {"seed": 3}) as add:
        for part in (frames[:4], frames[4:5], frames[5:]):
            add(part)
    WRITERS[kind](tmp_path / f"whole.{kind}", frames, 12.5, {"seed": 3})
    parts, whole = (read(tmp_path / f"{name}.{kind}") for name in ("parts", "whole"))
    assert parts.frames.shape == whole.frames.shape and parts.duration == pytest.approx(whole.duration)
    np.testing.assert_allclose(parts.times, whole.times)
    assert np.abs(parts.frames.astype(int) - whole.frames).mean() < (3 if kind == "gif" else 1e-9)
    assert read_recipe(tmp_path / f"parts.{kind}") == {"seed": 3}


def test_a_gif_that_comes_to_other_colours_has_palettes_for_them(tmp_path):
    red, ramp = np.zeros((2, 40, 40, 3), np.uint8), np.zeros((2, 40, 40, 3), np.uint8)
    red[..., 0] = 200
    ramp[..., 1], ramp[..., 2] = np.mgrid[:40, :40] * 6
    with streaming(tmp_path / "a.gif", 10) as add:
        add(red)
        add(ramp)
    found = read(tmp_path / "a.gif").frames
    assert np.array_equal(found[:2], red) and np.abs(found[2:].astype(int) - ramp).mean() < 6


@kinds
def test_what_fails_on_the_way_leaves_nothing(tmp_path, kind):
    with pytest.raises(RuntimeError, match="the model"), streaming(tmp_path / f"a.{kind}", 10) as add:
        add(disc(2))
        raise RuntimeError("the model")
    assert list(tmp_path.iterdir()) == []


def test_parts_from_the_last_to_the_first():
    parts, added = [np.full((n, 2, 3, 3), n, np.uint8) for n in (3, 1, 2)], []
    with reversing(added.append) as keep:
        for part in parts:
            keep(part)
        assert added == []
    assert [part.shape for part in added] == [part.shape for part in parts[::-1]]
    assert all(np.array_equal(a, b) for a, b in zip(added, parts[::-1], strict=True))


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'ends in ".avi"; a video is written as'), streaming(tmp_path / "a.avi", 10):
        pass
