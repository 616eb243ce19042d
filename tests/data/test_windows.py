"""Which frames make an item."""

import random

import numpy as np
import pytest

from filmgrain.data.windows import Window


def native(count: int, fps: float = 10.0) -> tuple[np.ndarray, float]:
    return np.arange(count) / fps, count / fps


def drawn(window: Window, times: np.ndarray, duration: float, count: int = 200) -> np.ndarray:
    return np.stack([window.draw(times, duration, random.Random(n)) for n in range(count)])


def test_starts_reach_from_the_first_window_to_the_last() -> None:
    """Mistake 15: always the first frames."""
    windows = drawn(Window(frames=4, stride=2), *native(12))
    assert set(windows[:, 0]) == {0, 1, 2, 3, 4, 5}
    assert (np.diff(windows, axis=1) == 2).all() and windows.max() == 11


@pytest.mark.parametrize("fps", [0.0, 10.0])
def test_a_clip_of_exactly_one_window_is_shown_once_through(fps: float) -> None:
    assert (drawn(Window(frames=12, fps=fps), *native(12)) == np.arange(12)).all()


@pytest.mark.parametrize("fps", [0.0, 10.0])
def test_short_clips_loop(fps: float) -> None:
    windows = drawn(Window(frames=9, fps=fps, short="loop"), *native(4))
    assert set(windows[:, 0]) == {0, 1, 2, 3}
    assert (np.diff(windows, axis=1) % 4 == 1).all()


@pytest.mark.parametrize("fps", [0.0, 10.0])
def test_short_clips_mirror_without_showing_their_ends_twice(fps: float) -> None:
    windows = drawn(Window(frames=9, fps=fps, short="mirror"), *native(4))
    assert set(windows[:, 0]) == {0, 1, 2, 3}
    assert (np.abs(np.diff(windows, axis=1)) == 1).all()


@pytest.mark.parametrize("short", ["loop", "mirror"])
def test_a_clip_of_one_frame_stands_still(short: str) -> None:
    assert (drawn(Window(frames=5, short=short), np.zeros(1), 0.0) == 0).all()


@pytest.mark.parametrize("native_fps", [6, 12, 23.976, 25, 30, 60])
def test_resampled_motion_keeps_its_speed(native_fps: float) -> None:
    times, duration = native(int(native_fps * 5), native_fps)
    windows = drawn(Window(frames=8, fps=12), times, duration)
    seen = times[windows] - times[windows[:, :1]]
    assert np.abs(seen - np.arange(8) / 12).max() <= 1 / native_fps


def test_a_rate_of_its_own_takes_every_frame_for_all_the_rounding_of_time_stamps() -> None:
    for exact in (1 / 30, 1 / 23.976, 1 / 15):
        for unit in (0.01, 0.001):  # seconds: GIF, Matroska
            times = np.round(np.arange(40) * exact / unit) * unit
            windows = drawn(Window(frames=8, fps=1 / exact), times, 40 * exact)
            steps = np.diff(windows, axis=1)
            assert (steps == 1).mean() > (0.99 if unit < 0.01 else 0.9)


def test_a_long_frame_is_shown_until_the_next() -> None:
    times, duration = np.array([0.0, 0.1, 2.1]), 3.1  # the second of three frames stays for two seconds
    window = Window(frames=31, fps=10)
    assert window.draw(times, duration, random.Random(0)).tolist() == [0] + 20 * [1] + 10 * [2]


@pytest.mark.parametrize(
    "frames, fps, stride, items",
    [(16, 0, 1, 15), (16, 0, 2, 7), (16, 5, 1, 7), (16, 20, 1, 31), (100, 0, 3, 1)],
)
def test_items_of_a_clip_grow_with_its_length(frames: int, fps: float, stride: int, items: int) -> None:
    assert Window(frames=frames, fps=fps, stride=stride).items(*native(250)) == items


@pytest.mark.parametrize("fps", [0.0, 10.0])
def test_the_part_cut_off_holds_a_window(fps: float) -> None:
    window = Window(frames=8, fps=fps)
    assert window.cut(*native(31), 0.1) == 0
    assert window.cut(*native(32), 0.1) == 24
    assert window.cut(*native(200), 0.1) == 180


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="frames=0"):
        Window(frames=0)
    with pytest.raises(ValueError, match="both set the pace"):
        Window(frames=8, fps=10, stride=2)
    with pytest.raises(ValueError, match='short="black"'):
        Window(frames=8, short="black")


def test_of_several_strides_each_window_has_one() -> None:
    window = Window(frames=4, stride=(1, 3))
    strides = [window.one(random.Random(n)).strides for n in range(40)]
    assert set(strides) == {(1,), (3,)}
    times, duration = native(12)
    assert window.items(times, duration) == 3  # as many as of the smallest lie side by side
    assert window.cut(*native(47), 0.1) == 0 and window.cut(*native(48), 0.1) == 36  # a window of the largest
    assert Window(frames=4, stride=3).one(random.Random(0)).strides == (3,)


@pytest.mark.parametrize(("stride", "fps"), [((), 0.0), ((0, 2), 0.0), ((1, 2), 10.0)])
def test_strides_that_cannot_be(stride: tuple[int, ...], fps: float) -> None:
    with pytest.raises(ValueError, match="stride="):
        Window(frames=4, stride=stride, fps=fps)


def test_the_rate_of_an_item_is_that_of_its_frames() -> None:
    times, duration = native(20, 25.0)
    assert Window(frames=4).fps_of(times, duration) == 25
    assert Window(frames=4, stride=5).fps_of(times, duration) == 5
    assert Window(frames=4, fps=12).fps_of(times, duration) == 12
    assert Window(frames=4).fps_of(np.zeros(1), 0.0) == 0
