"""The arithmetic behind the tables of docs/performance.md. No time is measured here."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def of():
    """Modules of benchmarks/, which is a folder of scripts and no package."""
    before = set(sys.modules)
    sys.path.insert(0, BENCHMARKS)
    yield importlib.import_module
    sys.path.remove(BENCHMARKS)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(BENCHMARKS):
            del sys.modules[name]


def test_sides_take_turns_and_the_first_round_is_not_kept(of):
    asked, clock = [], iter(range(100))

    def side(name):
        return lambda: asked.append(name) or float(next(clock))

    rounds = of("paired").in_turn({"a": side("a"), "b": side("b")}, repeats=2)
    assert asked == ["a", "b"] * 3
    assert rounds == {"a": [2.0, 4.0], "b": [3.0, 5.0]}


def test_a_ratio_is_taken_within_each_pair(of):
    """Twice as slow in the second pair, both of them: the ratio does not see it."""
    found = of("paired").ratio([3.0, 6.0, 3.3], [1.0, 2.0, 1.0])
    assert found.median == pytest.approx(3.0)
    assert (found.low, found.high) == pytest.approx((3.0, 3.15))
    assert of("paired").ratio([3.0], [2.0]).low == 1.5


def test_a_figure_is_rounded_against_us(of):
    cautious = of("paired").cautious
    assert cautious(3.999, at_least=True) == "3.99" and cautious(0.6951, at_least=False) == "0.70"
    assert cautious(29.99, at_least=True, digits=1) == "29.9"


def entry(step, saved):
    return {"seconds": {"step": step}, "saved": saved}


def test_targets_are_met_by_what_was_measured_and_not_by_what_is_printed(of):
    targets = of("targets")
    step = targets.Target(cases=(), what="step", against="peer", ours="float32", bound=3)
    just_not = targets.found(entry({"peer": [2.9999], "float32": [1.0]}, {}), step)
    assert not step.met(just_not.median) and step.met(3.0)
    saved = targets.Target(cases=(), what="saved", against="peer", ours="bfloat16", bound=0.4)
    assert saved.met(targets.found(entry({}, {"peer": 100, "bfloat16": 40}), saved).median)
    assert not saved.met(0.401)
    cost = targets.Target(cases=(), what="cost", against="float32", ours="recomputed", bound=1.35)
    again = {"recomputed": {"seconds": {"float32": [1.0], "recomputed": [1.4]}, "saved": {"recomputed": 20}}}
    assert not cost.met(targets.found(entry({"float32": [9.0]}, {}) | again, cost).median)
    kept = targets.Target(cases=(), what="saved", against="peer", ours="recomputed", bound=0.25)
    assert targets.found(entry({}, {"peer": 100}) | again, kept).median == 0.2
    assert targets.found(entry({"float32": [1.0], "recomputed": [1.2]}, {}), cost) is None  # of another run
    assert targets.found(entry({"peer": [1.0]}, {}), step) is None


def test_every_target_names_cases_and_sides_that_there_are(of):
    cases, sides = of("cases").CASES, of("sides").SIDES
    for target in of("targets").TARGETS:
        assert set(target.cases) <= set(cases) and {target.against, target.ours} <= set(sides)


def test_operations_have_their_kind(of):
    kind = of("operations").kind
    assert kind("aten::mkldnn_convolution") == "convolution, forward"
    assert kind("aten::convolution_backward") == "convolution, backward"
    assert kind("aten::addmm") == kind("aten::bmm") == "products"
    assert kind("aten::native_layer_norm_backward") == kind("aten::silu_") == "norms and activations"
    assert kind("aten::_to_copy") == kind("aten::cat") == "copies and casts"
    assert kind("aten::_softmax") == kind("filmgrain::temporal_attention_backward") == "attention"
    assert kind("aten::mul", "Optimizer.step#Adam.step") == kind("aten::_fused_adamw_") == "optimiser"
    assert kind("aten::empty", "filmgrain::linear_attention") == "attention"
    assert kind("aten::add") == of("operations").OTHER


def test_the_page_says_what_is_missed(of):
    page = of("page")
    measured = entry({"peer": [2.0, 2.0], "float32": [1.0, 1.0]}, {})
    lines = page.targets({"unet3d-32": measured})
    (row,) = [line for line in lines if "| training step | float32 | peer |" in line]
    assert "| 2.00× | 2.00× – 2.00× | ≥ 3 | **no** |" in row
    assert any("not measured" in line for line in lines)


def test_steps_computed_again_have_a_table_of_their_own(of):
    seconds = {"float32": [2.0, 3.0, 4.0], "float32, recomputed": [3.5]}
    saved, peak = {"float32": 1000.4, "float32, recomputed": 300}, {"float32": 2.0, "float32, recomputed": 1.5}
    entry = {"seconds": seconds, "saved": saved, "peak": peak, "threads": 2, "repeats": 5}
    lines = of("page").recomputed(entry)
    assert "2 threads, 5 repetitions" in lines[0]
    assert lines[4:] == [
        "| training step, s | 3 | 3.5 |",
        "| saved activations, MB | 1,000 | 300 |",
        "| peak memory, GB | 2.00 | 1.50 |",
    ]


def test_the_page_is_written_between_its_marks(of, tmp_path):
    page, path = of("page"), tmp_path / "performance.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    results = {"clips": {"frames": 10, "seconds": {"peer": [2.0], "cached": [0.1], "first pass": [1.9]}}}
    page.write(path, results)
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| cached | 100 | 20.0× | ≥ 30× | **no** |" in text


def test_of_pictures_those_of_a_folder_are_compared(of):
    seconds = {"peer, a folder": [1.0, 2.0], "image_folder": [0.1, 0.2], "idx": [0.05, 0.05]}
    lines = of("page").pictures({"pictures": 30, "seconds": seconds})
    assert lines[-3:] == ["| peer, a folder | 20 | 1.0× |", "| image_folder | 200 | 10.0× |", "| idx | 600 |  |"]
