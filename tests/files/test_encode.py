"""What is written comes back: frames, duration, recipe."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from samples import disc

from filmgrain.files import gif
from filmgrain.files.encode import read_recipe, write_gif, write_mp4
from filmgrain.files.image import read_image, write_png
from filmgrain.files.video import read

RECIPE = {"network": {"name": "unet3d", "dim": 64}, "note": "für „später“ 🎞", "levels": [0.5, 1e-3], "none": None}
WRITERS = {"gif": write_gif, "mp4": write_mp4}


def distance(found: np.ndarray, given: np.ndarray) -> float:
    """Root mean square error in levels of 255."""
    return float(np.sqrt(np.mean((found.astype(float) - given) ** 2)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.integers(1, 40), st.integers(1, 40), st.floats(0.5, 50), st.integers(0, 1000))
def test_a_gif_of_few_colours_comes_back_exactly(tmp_path_factory, count, height, width, fps, seed):
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (200, 3), np.uint8)
    frames = colours[random.integers(0, 200, (count, height, width))]
    path = tmp_path_factory.getbasetemp() / "few.gif"
    write_gif(path, frames, fps)
    clip = read(path)
    np.testing.assert_array_equal(clip.frames, frames)
    assert clip.duration == pytest.approx(count / fps, abs=0.006)
    np.testing.assert_allclose(clip.times, np.arange(count) / fps, atol=0.006)


@pytest.mark.parametrize("name", WRITERS)
def test_frames_that_do_not_move_stay_frames(tmp_path, name):
    path, frames = tmp_path / f"still.{name}", disc(1).repeat(8, axis=0)
    WRITERS[name](path, frames, fps=10)
    clip = read(path)
    assert clip.frames.shape == frames.shape and clip.duration == pytest.approx(0.8)
    assert (clip.frames == clip.frames[0]).all() or name == "mp4"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("fps", [4, 7.5, 12.5, 24, 30000 / 1001, 50])
def test_duration(tmp_path, name, fps):
    path = tmp_path / f"clip.{name}"
    WRITERS[name](path, disc(9), fps)
    assert read(path).duration == pytest.approx(9 / fps, abs=0.006) and len(read(path).frames) == 9


def test_a_gif_plays_at_50_frames_a_second_at_most(tmp_path):
    write_gif(tmp_path / "fast.gif", disc(9), 120)
    assert read(tmp_path / "fast.gif").fps == pytest.approx(50)


def test_colours_are_kept(tmp_path):
    smooth = disc(8)
    write_gif(tmp_path / "a.gif", smooth, 10)
    write_mp4(tmp_path / "a.mp4", smooth, 10, scale=2)
    assert distance(read(tmp_path / "a.gif").frames, smooth) < 3
    found = read(tmp_path / "a.mp4").frames
    assert distance(found[:, ::2, ::2], smooth) < 3
    assert np.abs((found[:, ::2, ::2].astype(float) - smooth).mean(axis=(0, 1, 2))).max() < 0.7  # no shift of colour


def test_a_clip_of_every_colour_has_a_palette_a_frame(tmp_path):
    row, column = np.mgrid[:64, :64] * 4
    frames = np.stack([np.stack([row, column, np.full_like(row, 60 * i)], axis=-1) for i in range(4)]).astype(np.uint8)
    write_gif(tmp_path / "rainbow.gif", frames, 10)
    assert gif.palette_of(frames)[1] > gif.VISIBLE
    assert distance(read(tmp_path / "rainbow.gif").frames, frames) < 0.8 * gif.palette_of(frames)[1]


def test_what_stands_still_does_not_flicker(tmp_path):
    frames = disc(8)
    write_gif(tmp_path / "a.gif", frames, 10)
    still = (frames == frames[0]).all(axis=(0, -1))
    assert (
        still.mean() > 0.5
        and (read(tmp_path / "a.gif").frames[:, still] == read(tmp_path / "a.gif").frames[0, still]).all()
    )


@pytest.mark.parametrize(("height", "width"), [(33, 32), (32, 31), (1, 1), (7, 9)])
def test_odd_sizes_of_an_mp4_repeat_their_edge(tmp_path, height, width):
    frames = disc(4, 48, 64)[:, :height, :width]
    write_mp4(tmp_path / "odd.mp4", frames, 10)
    found = read(tmp_path / "odd.mp4").frames
    assert found.shape == (4, height + height % 2, width + width % 2, 3)
    padded = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    assert distance(found, padded) < 12


def test_mp4_is_what_players_expect(tmp_path):
    write_mp4(tmp_path / "a.mp4", disc(4), 10)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p" and context.name == (
            "h264" if "libx264" in av.codecs_available else "mpeg4"
        )
        assert context.colorspace == context.color_primaries == 1


def test_without_libx264(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    write_mp4(tmp_path / "a.mp4", disc(4), 10, RECIPE, scale=2)
    monkeypatch.undo()
    assert distance(read(tmp_path / "a.mp4").frames[:, ::2, ::2], disc(4)) < 5
    assert read_recipe(tmp_path / "a.mp4") == RECIPE


@pytest.mark.parametrize("name", WRITERS)
def test_scale_repeats_pixels(tmp_path, name):
    frames = disc(3, 8, 10)
    WRITERS[name](tmp_path / "large", frames, 10, scale=4)
    assert read(tmp_path / "large").frames.shape == (3, 32, 40, 3)
    assert distance(read(tmp_path / "large").frames[:, 2::4, 2::4], frames) < 6


@pytest.mark.parametrize("recipe", [RECIPE, {}, {"long": "x" * 200_000}])
def test_recipe(tmp_path, recipe):
    write_gif(tmp_path / "a.gif", disc(2), 10, recipe)
    write_mp4(tmp_path / "a.mp4", disc(2), 10, recipe)
    write_png(tmp_path / "a.png", disc(1)[0], recipe)
    assert [read_recipe(tmp_path / name) for name in ("a.gif", "a.mp4", "a.png")] == [recipe] * 3


def test_no_recipe(tmp_path, sample):
    Image.fromarray(disc(1)[0]).save(tmp_path / "other.gif", comment=b"made with a brush")
    write_gif(tmp_path / "none.gif", disc(2), 10)
    paths = [tmp_path / "other.gif", tmp_path / "none.gif", sample("h264.mp4"), sample("s.jpg"), sample("mpeg4.avi")]
    assert [read_recipe(path) for path in paths] == [None] * 5


def test_png_is_exact(tmp_path):
    write_png(tmp_path / "a.png", disc(1)[0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), disc(1)[0])


@pytest.mark.parametrize("name", WRITERS)
def test_same_frames_same_bytes(tmp_path, name):
    for copy in ("1", "2"):
        WRITERS[name](tmp_path / copy, disc(6), 10, RECIPE)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("frames", "fps", "scale", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), 10, 1, "uint8"),
        (np.zeros((0, 4, 4, 3), np.uint8), 10, 1, "uint8 .f, h, w, 3."),
        (np.zeros((4, 4, 3), np.uint8), 10, 1, "shape"),
        (disc(2), 0, 1, "fps=0"),
        (disc(2), float("nan"), 1, "fps=nan"),
        (disc(2), 10, 0, "scale=0"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, frames, fps, scale, message):
    (tmp_path / "old").write_bytes(b"precious")
    with pytest.raises(ValueError, match=message):
        WRITERS[name](tmp_path / "old", frames, fps, scale=scale)
    assert (tmp_path / "old").read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", WRITERS)
def test_a_recipe_that_is_not_json_leaves_the_old_file(tmp_path, name):
    (tmp_path / "old").write_bytes(b"precious")
    with pytest.raises(TypeError):
        WRITERS[name](tmp_path / "old", disc(2), 10, {"x": object()})
    assert (tmp_path / "old").read_bytes() == b"precious" and len(list(tmp_path.iterdir())) == 1
