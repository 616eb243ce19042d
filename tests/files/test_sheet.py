"""Where each clip stands in a sheet."""

import numpy as np
import pytest
from samples import disc

from filmgrain.files.sheet import GREY, contact_sheet, film_strip


def plain(value: int, frames: int = 3, height: int = 4, width: int = 6) -> np.ndarray:
    return np.full((frames, height, width, 3), value, np.uint8)


def test_every_clip_has_its_cell():
    sheet = contact_sheet([plain(100 + i) for i in range(5)], columns=3, gap=2, scale=1)
    assert sheet.shape == (3, 2 + 2 * 6, 2 + 3 * 8, 3)
    for index in range(5):
        row, column = divmod(index, 3)
        assert (sheet[:, 2 + 6 * row : 6 + 6 * row, 2 + 8 * column : 8 + 8 * column] == 100 + index).all()
    assert (sheet[:, :2] == GREY).all() and (sheet[:, 8:, 18:] == GREY).all()
    assert (sheet != GREY).any(axis=-1).sum() == 3 * 5 * 24


def test_scale_repeats_pixels_but_not_the_gap():
    clip = disc(2, 8, 10)
    sheet = contact_sheet([clip], gap=3, scale=4)
    np.testing.assert_array_equal(sheet[:, 3:-3:4, 3:-3:4], clip)
    assert sheet.shape == (2, 38, 46, 3)


@pytest.mark.parametrize(("side", "scale"), [(16, 6), (32, 3), (64, 2), (96, 1), (256, 1)])
def test_small_clips_are_made_viewable(side, scale):
    assert contact_sheet([plain(9, 1, side, side)], gap=0).shape == (1, side * scale, side * scale, 3)


def test_nothing_is_enlarged_to_what_no_format_holds():
    assert contact_sheet([plain(9, 1, 3000, 1)], gap=0).shape == (1, 3000, 1, 3)


def test_a_shorter_clip_holds_its_last_frame():
    short, long = np.arange(2, dtype=np.uint8), np.arange(5, dtype=np.uint8)
    sheet = contact_sheet(
        [n[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8) for n in (short, long)], gap=0, scale=1
    )
    assert sheet[:, 0, 0, 0].tolist() == [0, 1, 1, 1, 1] and sheet[:, 0, 4, 0].tolist() == [0, 1, 2, 3, 4]


def test_stills_make_a_still_and_a_smaller_one_stands_in_the_middle():
    sheet = contact_sheet([plain(200)[0], plain(90, height=2, width=2)[0]], columns=2, gap=1, scale=1)
    assert sheet.shape == (6, 15, 3) and (sheet[2:4, 10:12] == 90).all() and (sheet == 90).sum() == 12


def test_film_strip_shows_first_and_last_frame():
    clip = np.arange(21, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    strip = film_strip([clip, clip + 100], count=5, gap=0, scale=1)
    assert strip[0, ::4, 0].tolist() == [0, 5, 10, 15, 20] and strip[4, ::4, 0].tolist() == [100, 105, 110, 115, 120]


def test_film_strip_repeats_no_frame():
    clip = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    assert film_strip([clip], gap=0, scale=1)[0, ::4, 0].tolist() == [0, 1, 2]


def test_labels_stand_left_of_their_rows():
    plain_sheet = contact_sheet([plain(9, 1, 48, 48)] * 4, columns=2)
    sheet = contact_sheet([plain(9, 1, 48, 48)] * 4, columns=2, labels=["heun", "ddim"])
    margin = sheet.shape[2] - plain_sheet.shape[2]
    np.testing.assert_array_equal(sheet[:, :, margin:], plain_sheet)
    ink = (sheet[0, :, :margin] != GREY).any(axis=(1, 2))
    assert ink[2:98].any() and ink[100:196].any() and not ink[:20].any()


def test_nothing_to_show():
    with pytest.raises(ValueError, match="one or more"):
        contact_sheet([])
    with pytest.raises(ValueError, match="labels"):
        contact_sheet([plain(9)] * 2, columns=1, labels=["only one"])
