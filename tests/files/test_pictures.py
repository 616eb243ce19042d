"""Modes, orientations, transparency and timing of what Pillow reads."""

import numpy as np
import pytest
from PIL import Image
from samples import disc, make_pictures

from filmgrain.files.image import read_image
from filmgrain.files.video import read

STRIPES = np.repeat(np.array([[200, 30, 40], [20, 180, 60], [90, 90, 220]], np.uint8)[None], 8, axis=0).repeat(
    4, axis=1
)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, form, orientation):
    path, exif = tmp_path / "picture", Image.Exif()
    exif[0x0112] = orientation
    picture = disc(1)[0]
    Image.fromarray(picture).save(
        path, form, exif=exif, **({"quality": 95} if form in ("JPEG", "WEBP", "AVIF") else {})
    )
    upright = [
        picture,
        picture[:, ::-1],
        picture[::-1, ::-1],
        picture[::-1],
        picture.swapaxes(0, 1),
        np.rot90(picture, -1),
        picture[::-1, ::-1].swapaxes(0, 1),
        np.rot90(picture, 1),
    ][orientation - 1]
    found = read_image(path)
    assert found.shape == upright.shape and np.abs(found.astype(int) - upright).mean() < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    form = "PNG" if mode in ("1", "L", "LA", "P", "RGBA") else "TIFF"
    picture = Image.fromarray(STRIPES)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        expected = np.asarray(Image.fromarray(STRIPES).convert("L").convert("RGB"))
    elif mode == "LAB":
        picture, expected = Image.new("LAB", (12, 8), (128, 128, 128)), np.full((8, 12, 3), 119)
    else:
        picture = picture.convert("P" if mode == "PA" else mode).convert(mode)
        expected = np.asarray(picture.convert("RGB"))
    picture.save(tmp_path / "picture", form)
    assert np.abs(read_image(tmp_path / "picture").astype(int) - expected).max() <= 10


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_range(tmp_path, form):
    levels = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    Image.fromarray(levels).save(tmp_path / "ramp", form)
    np.testing.assert_array_equal(read_image(tmp_path / "ramp")[0, :, 0], np.arange(256))


def test_cmyk_jpeg(tmp_path):
    Image.fromarray(STRIPES.repeat(8, 0).repeat(8, 1)).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert read_image(tmp_path / "print.jpg")[4, 4] == pytest.approx([200, 30, 40], abs=8)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "AVIF", "TIFF"])
def test_what_is_transparent_shows_the_background(tmp_path, form):
    picture = np.zeros((16, 16, 4), np.uint8)
    picture[:, 8:] = (250, 0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "logo", form, **({"lossless": True} if form == "WEBP" else {}))
    found = read_image(tmp_path / "logo", background=(0, 0, 255)).astype(int)
    assert found[3, 2] == pytest.approx([0, 0, 255], abs=3) and found[3, 13] == pytest.approx([250, 0, 0], abs=4)


def test_half_transparent_is_half_background(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "veil.png")
    assert read_image(tmp_path / "veil.png", background=(255, 255, 255))[0, 0].tolist() == [127, 127, 127]


def test_palette_with_transparency_table(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "table.png", transparency=bytes([0, 255, 255]))
    found = read_image(tmp_path / "table.png", background=(9, 9, 9))
    assert found[0].tolist() == [[9, 9, 9], [0, 255, 0], [0, 0, 255]]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_durations_of_each_frame(tmp_path, form):
    milliseconds = [50, 120, 10, 1000]
    first, *rest = (Image.fromarray(frame) for frame in disc(4))
    first.save(tmp_path / "clip", form, save_all=True, append_images=rest, duration=milliseconds)
    clip = read(tmp_path / "clip")
    np.testing.assert_allclose(clip.times, np.cumsum([0, *milliseconds[:-1]]) / 1000, atol=1e-6)
    assert clip.duration == pytest.approx(1.18)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_a_delay_of_zero_is_a_tenth_of_a_second(tmp_path, form):
    first, *rest = (Image.fromarray(frame) for frame in disc(4))
    first.save(tmp_path / "clip", form, save_all=True, append_images=rest, duration=0)
    assert read(tmp_path / "clip").duration == pytest.approx(0.4)


def test_a_gif_of_one_frame_is_a_still(tmp_path):
    Image.fromarray(disc(1)[0]).save(tmp_path / "one.gif", duration=700)
    clip = read(tmp_path / "one.gif")
    assert (len(clip.frames), clip.duration) == (1, 0)


def test_the_picture_before_an_apng_is_not_of_it(tmp_path):
    cover, *rest = (Image.fromarray(frame) for frame in disc(4))
    cover.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=50, default_image=True)
    np.testing.assert_array_equal(read(tmp_path / "a.png").frames, disc(4)[1:])


def test_pages_of_a_tiff_are_not_frames(tmp_path):
    make_pictures(tmp_path / "pages.tiff", disc(4), "TIFF")
    assert len(read(tmp_path / "pages.tiff").frames) == 1
