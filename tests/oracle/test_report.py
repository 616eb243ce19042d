"""Estimates, the page, and the command from end to end, in its quick setting."""

from pathlib import Path

import pytest
import torch

from filmgrain.oracle.estimate import Estimate, estimate, student
from filmgrain.oracle.page import PAGE, begin, blank, fill
from filmgrain.oracle.report import STUDIES, report

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("freedom", "expected"), [(2, 4.303), (4, 2.776), (9, 2.262), (29, 2.045), (10_000, 1.960)])
def test_students_t(freedom, expected):
    assert student(freedom) == pytest.approx(expected, rel=0.05 if freedom < 4 else 0.002)


def test_an_interval_covers_the_mean_95_times_in_100():
    draws = torch.randn(4000, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covered = [abs(found.mean) <= found.half for found in map(estimate, draws)]
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.015)


def test_an_estimate_says_its_interval_unless_it_is_exact():
    assert f"{Estimate(0.46789, 0.00312):.3f}" == "0.468 ± 0.003"
    assert f"{Estimate(0.46789):.3f}" == "0.468"


def test_a_page_keeps_its_prose():
    page = (
        f"# Title\n\nabove\n\n{begin('a')}\nold\n<!-- /oracle -->\n\nbetween\n\n{begin('b')}\n<!-- /oracle -->\nbelow\n"
    )
    filled = fill(page, {"a": "new", "b": "| x |"})
    assert "old" not in filled and "\n\nnew\n\n" in filled and "\n\n| x |\n\n" in filled
    for prose in ("# Title\n\nabove\n\n", "\n\nbetween\n\n", "\nbelow\n"):
        assert prose in filled
    assert fill(filled, {"a": "new", "b": "| x |"}) == filled
    assert fill(filled, {"a": "newer"}).replace("newer", "new") == filled


def test_a_page_without_the_mark_is_refused():
    with pytest.raises(ValueError, match='no "<!-- oracle: b -->" with'):
        fill(blank(["a"]), {"b": ""})


def test_the_page_of_the_documentation_has_every_part_filled():
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    for name in STUDIES:
        part = text.split(begin(name))[1].split("<!-- /oracle -->")[0]
        assert "pictures/oracle-" in part
    pictures = list((DOCS / "pictures").glob("oracle-*.png"))
    assert pictures and all(picture.stat().st_size <= 100_000 for picture in pictures)


@pytest.mark.parametrize("name", ["orders", "conditional", "curves"])
def test_a_study_makes_its_part_of_the_page(tmp_path, name):
    pytest.importorskip("matplotlib")
    told = []
    part = report(name, tmp_path / "pictures", seeds=2, quick=True, progress=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] > 0
    for picture in (tmp_path / "pictures").iterdir():
        assert f"(pictures/{picture.name})" in part
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 100_000
    if name == "conditional":
        assert "| covariance-aware | 16 |" in part
