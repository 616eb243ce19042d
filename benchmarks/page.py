"""The results in Markdown, between two marks of docs/performance.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from paired import cautious, ratio
from targets import TARGETS, Target, found

BEGIN, END = "<!-- written by benchmarks/run.py: begin -->", "<!-- written by benchmarks/run.py: end -->"
TIMED = {"forward": "forward", "step": "training step", "sample": "sampling, an evaluation"}
NAMES = TIMED | {"saved": "saved activations", "cost": "time of a training step"}
Results = Mapping[str, Any]


def write(path: Path, results: Results) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text("\n".join([before + BEGIN, "", *page(results), END]) + after, encoding="utf-8")


def page(results: Results) -> list[str]:
    lines: list[str] = []
    cases = results.get("cases", {})
    if cases:
        lines += ["### Targets", "", *targets(cases), ""]
    for name, entry in cases.items():
        lines += [f"### {name}", "", *case(entry), ""]
    if "startup" in results:
        lines += ["### Start-up", "", *startup(results["startup"]), ""]
    if "clips" in results:
        lines += ["### Clips to batches", "", *clips(results["clips"]), ""]
    if "pictures" in results:
        lines += ["### Pictures to batches", "", *pictures(results["pictures"]), ""]
    if "growth" in results:
        lines += ["### Growth", "", "![seconds by frames, side and batch](pictures/growth.png)", ""]
    if any("operations" in entry for entry in cases.values()):
        lines += ["### Where the time goes", "", *operations(cases), ""]
    return lines


def targets(cases: Mapping[str, Results]) -> list[str]:
    """All targets; ratios are rounded against us."""
    return table(
        ("case", "what", "ours", "against", "median of pairs", "quartiles", "target", "met"),
        [_row(name, entry, target) for target in TARGETS for name, entry in cases.items() if name in target.cases],
    )


def _row(name: str, entry: Results, target: Target) -> Sequence[str]:
    said = "≥" if target.at_least else "≤"
    asked = f"{said} {target.bound:g}" + (f", aim {target.aim:g}" if target.aim else "")
    what, value = NAMES.get(target.what, target.what), found(entry, target)
    if value is None:
        return name, what, target.ours, target.against, "not measured", "", asked, ""
    shown = [cautious(number, at_least=target.at_least) + "×" for number in (value.median, value.low, value.high)]
    spread = "" if target.what == "saved" else f"{shown[1]} – {shown[2]}"
    met = "yes" if target.met(value.median) else "**no**"
    if target.aim and target.met(value.median):
        met += ", aim too" if value.median >= target.aim else ""
    return name, what, target.ours, target.against, shown[0], spread, asked, met


def case(entry: Results) -> list[str]:
    """A row a measure, a column a side."""
    sides = list(entry["parameters"])
    seconds = entry["seconds"]

    def row(title: str, values: Mapping[str, Any], said: Callable[[Any], str]) -> list[str]:
        return [title, *(said(values[side]) if side in values else "" for side in sides)]

    rows = [row(f"{TIMED[what]}, s", seconds[what], lambda times: f"{median(times):.3g}") for what in seconds]
    if "flops" in entry:
        for what in ("forward", "step"):
            shares = {side: _share(entry, what, side) for side in seconds.get(what, {})}
            rows.append(row(f"{TIMED[what]}, of the limit", shares, "{:.0%}".format))
    for key, title, said in (("saved", "saved activations, MB", "{:,.0f}"), ("peak", "peak memory, GB", "{:.2f}")):
        rows.append(row(title, entry.get(key, {}), said.format))
    for key in ("output", "gradients"):
        apart = {side: values[key] for side, values in entry.get("agreement", {}).items()}
        rows.append(row(f"{key}: difference from the peer", apart, "{:.1e}".format))
    rows.append(row("parameters", entry["parameters"], "{:,}".format))
    rows = [cells for cells in rows if any(cells[1:])]  # what was measured
    commits = ", ".join(f"{what} {commit}" for what, commit in entry["commits"].items())
    made = f"{entry['threads']} threads, {entry['repeats']} repetitions in turn; by commit: {commits}"
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in entry["limits"].items())
    limited = f"Limits in the same run, GFLOP/s: {rates}."
    lines = [f"{entry['title']}. {made}.", "", *table(("", *sides), rows), "", limited]
    if "flops" in entry:
        counted = [f"{entry['flops']['peer'][what] / 1e9:,.1f}" for what in ("forward", "step")]
        lines.append(f"The peer's network: {counted[0]} GFLOP forward, {counted[1]} with its gradient.")
    if "recomputed" in entry:
        lines += ["", *recomputed(entry["recomputed"])]
    return lines


def recomputed(entry: Results) -> list[str]:
    """Steps that compute activations again beside those that keep them; of one run, which is not that of the others."""
    seconds = entry["seconds"]
    rows = [
        ("training step, s", *(f"{median(times):.3g}" for times in seconds.values())),
        ("saved activations, MB", *(f"{entry['saved'][side]:,.0f}" for side in seconds)),
        ("peak memory, GB", *(f"{entry['peak'][side]:.2f}" for side in seconds)),
    ]
    made = f"{entry['threads']} threads, {entry['repeats']} repetitions in turn."
    return [f"`train.recompute=1`, in a run of its own: {made}", "", *table(("", *seconds), rows)]


def _share(entry: Results, what: str, side: str) -> float:
    """Of the machine's rate in convolutions of the side's precision, that the arithmetic of the network makes up."""
    whose = "peer" if side.startswith("peer") or entry["same network"] else "ours"
    limit = entry["limits"]["conv bfloat16" if "bfloat16" in side else "conv float32"]
    return entry["flops"][whose][what] / median(entry["seconds"][what][side]) / 1e9 / limit


def startup(results: Results) -> list[str]:
    seconds = results["seconds"]
    rows = [(f"`{name}`", f"{median(values):.2f}") for name, values in seconds.items()]
    own, torch = (median(seconds[name]) for name in ("import filmgrain, and all that trains", "import torch"))
    asked = median(seconds["filmgrain --help"])
    asks = results["help_imports_torch"]
    more = own - torch
    verdicts = [
        ("all of filmgrain, over torch alone", f"{cautious(more, at_least=False)} s", "≤ 0.3 s", more <= 0.3),
        ("`filmgrain --help`", f"{cautious(asked, at_least=False)} s", "≤ 0.3 s", asked <= 0.3),
        ("`filmgrain --help` imports torch", "yes" if asks else "no", "no", not asks),
    ]
    met = [(*said, "yes" if holds else "**no**") for *said, holds in verdicts]
    return [*table(("", "s"), rows), "", *table(("", "measured", "target", "met"), met)]


def clips(results: Results) -> list[str]:
    seconds, frames = results["seconds"], results["frames"]
    bounds = {"cached": 30, "first pass": 1.5}
    rows = []
    for side, values in seconds.items():
        times = ratio(seconds["peer"], values).median
        bound = bounds.get(side)
        verdict = ("", "") if bound is None else (f"≥ {bound:g}×", "yes" if times >= bound else "**no**")
        rows.append((side, f"{frames / median(values):,.0f}", f"{cautious(times, at_least=True, digits=1)}×", *verdict))
    return table(("", "frames a second", "times the peer's", "target", "met"), rows)


def pictures(results: Results) -> list[str]:
    """A row a side; the first is the peer, and what is of no folder is not compared with it."""
    (peer, theirs), *own = results["seconds"].items()
    rows = [(peer, f"{results['pictures'] / median(theirs):,.0f}", "1.0×")]
    for side, values in own:
        times = f"{cautious(ratio(theirs, values).median, at_least=True, digits=1)}×" if "folder" in side else ""
        rows.append((side, f"{results['pictures'] / median(values):,.0f}", times))
    return table(("", "pictures a second", "times the peer's"), rows)


def operations(cases: Mapping[str, Results]) -> list[str]:
    """A table a case: seconds of each kind in a training step."""
    lines: list[str] = []
    for name, entry in cases.items():
        if sides := entry.get("operations"):
            first = next(iter(sides.values()))
            kinds = sorted({kind for spent in sides.values() for kind in spent}, key=lambda kind: -first.get(kind, 0))
            rows = [(kind, *(f"{spent.get(kind, 0):.3f}" for spent in sides.values())) for kind in kinds]
            rows.append(("in all", *(f"{sum(spent.values()):.3f}" for spent in sides.values())))
            lines += [f"{name}, seconds of one training step under the profiler:", "", *table(("", *sides), rows), ""]
    return lines


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    cells = [[*head], *([*row] for row in rows)]
    return ["| " + " | ".join(row) + " |" for row in (cells[0], ["---"] * len(cells[0]), *cells[1:])]
