"""The curves: they are XML, hold every point that matters, and lie inside the picture."""

import math
import re
from xml.etree import ElementTree

import pytest

from filmgrain.watching.svg import HEIGHT, MOST, WIDTH, Axis, Line, chart, thinned

NUMBER = re.compile(r"-?[\d.]+")


def drawn(*lines: Line, log: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(chart(lines, "a < b & c", log=log))


def points(svg: ElementTree.Element) -> list[list[tuple[float, float]]]:
    found = [polyline.attrib["points"].split() for polyline in svg.iter("polyline")]
    return [[(float(a), float(b)) for a, b in (point.split(",") for point in line)] for line in found]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_points_lie_inside(log, scale):
    (line,) = points(drawn(Line("loss", range(100), [scale * (1 + math.sin(i)) + scale for i in range(100)]), log=log))
    assert len(line) == 100
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)
    assert line == sorted(line)


def test_higher_is_higher_up_and_equal_factors_are_equal_on_a_log_axis():
    ((_, a), (_, b), (_, c)) = points(drawn(Line("", [1, 2, 3], [1, 10, 100]), log=True))[0]
    assert a > b > c and a - b == pytest.approx(b - c, abs=0.2)


def test_what_cannot_be_drawn_is_left_out():
    assert chart([Line("", [], []), Line("", [1], [math.nan])], "none") == ""
    assert chart([Line("", [1, 2], [0.0, -1.0])], "none", log=True) == ""
    (line,) = points(drawn(Line("", [1, 2, 3, 4], [1.0, math.inf, math.nan, 2.0])))
    assert len(line) == 2


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-30])
def test_one_point_and_constant_lines_are_drawn(value):
    assert len(list(drawn(Line("", [5], [value])).iter("circle"))) == 1
    assert len(points(drawn(Line("", [5, 6], [value, value])))[0]) == 2


def test_text_is_escaped_and_named_lines_are_in_the_legend():
    svg = drawn(Line("<script>", [1, 2], [1, 2]), Line("", [1, 2], [1, 2], faint=True))
    texts = [text.text for text in svg.iter("text")]
    assert "<script>" in texts and "a < b & c" in texts


def test_thinning_keeps_spikes_and_ends():
    values = [0.0] * 100_000
    values[31_337], values[77_777] = 9.0, -9.0
    kept = thinned(range(100_000), values)
    assert len(kept) <= MOST and kept == sorted(kept)
    assert {(31_337, 9.0), (77_777, -9.0)} <= set(kept) and kept[0][0] == 0 and kept[-1][0] == 99_999


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 3.001), (-5, 5e6), (1e-8, 2e-8), (0, 20_000)])
def test_linear_ticks_are_few_and_round(low, high):
    ticks = Axis(low, high, 0, 100).ticks
    assert 2 <= len(ticks) <= 9 and all(low <= tick * (1 + 1e-9) and tick <= high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.1), (1e-6, 1e6), (0.3, 0.4), (0.9, 7)])
def test_logarithmic_ticks_are_few(low, high):
    assert 2 <= len(Axis(low, high, 0, 100, log=True).ticks) <= 9
