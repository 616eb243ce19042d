"""Windows over a long video: each frame is drawn once, from what is there already."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from filmgrain.generate.conditional import Given
from filmgrain.generate.windows import fill, plan


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_every_frame_goes_out_once_and_every_window_overlaps(data):
    length = data.draw(st.integers(2, 20))
    overlap = data.draw(st.integers(1, length - 1))
    drawn = data.draw(st.integers(0, 3) | st.integers(overlap, 40))
    drawn = 0 if drawn < overlap else drawn
    total = drawn + data.draw(st.integers(1, 90))
    windows = plan(total, length, overlap, drawn=drawn)
    assert windows[0].drawn == drawn and windows[-1].upto == total
    for before, window in zip([None, *windows], windows, strict=False):
        assert window.stop - window.start == length and window.start <= window.drawn < window.upto <= window.stop
        assert before is None or window.drawn == before.upto
        assert window.drawn == 0 or window.drawn - window.start >= min(overlap, drawn or length)
        assert window.stop <= max(total, length)  # none is drawn in vain, but of a video shorter than the model's


def test_a_window_ends_at_a_known_frame():
    for window in plan(61, 16, 8, every=4)[:-1]:
        assert (window.upto - 1) % 4 == 0
    with pytest.raises(ValueError, match="overlap=13 leaves no room for a known frame, 4 further on"):
        plan(61, 16, 13, every=4)


def test_a_loop_keeps_room_between_its_end_and_its_start():
    *_, last = plan(40, 16, 8, drawn=16, room=8)
    assert (last.start, last.stop, last.drawn, last.upto) == (28, 44, 32, 40)


@pytest.mark.parametrize("overlap", [0, 16, 20])
def test_an_overlap_that_is_none_is_refused(overlap):
    with pytest.raises(ValueError, match=f"overlap={overlap} of blocks of 16 frames; use 1 to 15"):
        plan(40, 16, overlap)


def test_each_window_is_given_what_is_there():
    """Frames are their own numbers: what is known is told apart from what is drawn."""
    seen = []

    def nothing(start, stop):
        return Given(torch.full((1, 1, stop - start, 1, 1), -1.0), torch.zeros(1, stop - start, 1, 1).bool())

    def draw(number, what):
        seen.append([int(x) for x in what.x[0, 0, what.mask[0, :, 0, 0], 0, 0]])
        frames = torch.arange(4 + 4 * number, 12 + 4 * number).reshape(1, 1, 8, 1, 1)
        return torch.where(what.mask, what.x, frames.float())

    tail = torch.arange(8.0).reshape(1, 1, 8, 1, 1)
    blocks = list(fill(plan(16, 8, 4, drawn=8), draw, nothing, tail))
    assert seen == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert torch.cat(blocks, 2).flatten().tolist() == [8, 9, 10, 11, 12, 13, 14, 15]
