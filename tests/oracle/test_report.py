"""Estimates, the page, and the command from end to end, in its quick setting."""

from pathlib import Path

import pytest
import torch

from filmgrain.cli import main
from filmgrain.oracle.estimate import Estimate, estimate, student
from filmgrain.oracle.page import PAGE, begin, blank, fill
from filmgrain.oracle.report import QUICK, STUDIES, report

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
        assert "pictures/oracle-" in part and QUICK not in part
    pictures = list((DOCS / "pictures").glob("oracle-*.png"))
    assert pictures and all(picture.stat().st_size <= 100_000 for picture in pictures)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_makes_its_part_of_the_page(tmp_path, name):
    pytest.importorskip("matplotlib")
    told = []
    part = report(name, tmp_path / "pictures", seeds=2, quick=True, progress=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] > 0 and part.startswith(QUICK)
    for picture in (tmp_path / "pictures").iterdir():
        assert f"(pictures/{picture.name})" in part
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 100_000
    if name == "conditional":
        assert "| covariance-aware | 16 |" in part


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["oracle", *arguments])
    return left.value.code


def test_the_command_writes_a_page_and_keeps_its_prose(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert run("--only", "curves", "--out", str(tmp_path)) == 0
    assert str(tmp_path / PAGE) in capsys.readouterr().out.replace("\n", "")
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "(pictures/oracle-weightings.png)" in page
    (tmp_path / PAGE).write_text(page + "\nprose\n", encoding="utf-8")
    assert run("--only", "curves", "--out", str(tmp_path)) == 0
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == page + "\nprose\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "curve"), 'no study; did you mean "curves"?'),
        (("--seeds", "1"), "--seeds 1 gives no interval; use 2 or more"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, words, capsys, tmp_path):
    assert run(*arguments, "--out", str(tmp_path)) == 2
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())
