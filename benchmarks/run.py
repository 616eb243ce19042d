"""`make benchmark`: ours against each peer on the same network, in turn, in one table. docs/performance.md explains it.

python benchmarks/run.py                                 everything, an hour on 2 cores
python benchmarks/run.py --only unet3d-32 --repeats 5    one part; what was measured before of the others is kept
python benchmarks/run.py --page                          the page anew from benchmarks/results.json
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import growth
import page
import startup
from cases import CASES
from paired import in_turn
from remote import Worker, workers
from sides import RECOMPUTED, SIDES, USUAL
from targets import VIDEO

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
RESULTS = HERE / "results.json"
OTHERS = ("startup", "clips", "pictures", "growth")
TIMED = ("forward", "step", "sample")
MEASURES = ("agreement", *TIMED, "memory", "recomputed", "operations", "flops")


def compared(name: str, sides: Sequence[str], measures: Sequence[str], repeats: int, threads: int) -> dict[str, Any]:
    """What is asked for of a case: that the sides agree, times in turn, memory, and where the time goes."""
    case = CASES[name]
    measures = [what for what in measures if measurable(name, what)]
    with workers(name, sides, threads) as asked, tempfile.TemporaryDirectory() as folder:
        before = limits(threads)
        entry: dict[str, Any] = {"title": case.title, "same network": bool(case.code.first), "seconds": {}}
        entry["parameters"] = {side: worker.ask("parameters") for side, worker in asked.items()}
        if "agreement" in measures:
            entry["agreement"] = agreement(asked, case.code.first, Path(folder))
            print(*(f"{side}: {differ}" for side, differ in entry["agreement"].items()), sep="\n", flush=True)
        for what in measures:
            if what in TIMED:
                runs = {side: partial(worker.ask, what) for side, worker in asked.items()}
                entry["seconds"][what] = in_turn(runs, repeats)
                print(what, {side: round(min(times), 3) for side, times in entry["seconds"][what].items()}, flush=True)
        if "memory" in measures:
            for key in ("peak", "saved"):
                entry[key] = {side: worker.ask(key) for side, worker in asked.items()}
        if "operations" in measures:
            entry["operations"] = {side: worker.ask("operations", what="step") for side, worker in asked.items()}
        entry["limits"] = between(before, limits(threads))
    if "recomputed" in measures:
        entry["recomputed"] = recomputed(name, repeats, threads)
    if "flops" in measures:
        entry["flops"] = flops(name, threads)
    made = provenance()
    entry["commits"] = dict.fromkeys(measures, made.pop("commit"))
    return entry | {"threads": threads, "repeats": repeats, **made}


def measurable(name: str, what: str) -> bool:
    """Outputs agree only where weights are shared, and blocks are recomputed only in networks of videos."""
    return {"agreement": bool(CASES[name].code.first), "recomputed": name in VIDEO}.get(what, True)


def recomputed(name: str, repeats: int, threads: int) -> dict[str, Any]:
    """What activation checkpointing costs and saves: our steps with it and without, in turn."""
    with workers(name, RECOMPUTED, threads) as asked:
        runs = {side: partial(worker.ask, "step") for side, worker in asked.items()}
        seconds = in_turn(runs, repeats)
        held = {key: {side: worker.ask(key) for side, worker in asked.items()} for key in ("peak", "saved")}
        return {"threads": threads, "repeats": repeats, "seconds": seconds, **held}


def flops(name: str, threads: int) -> dict[str, dict[str, float]]:
    """Of the peer's network; and of ours without kernels, of which the counter does not know."""
    with workers(name, ["peer", "float32, plain"], threads) as asked:
        return {whose: worker.ask("flops") for whose, worker in zip(("peer", "ours"), asked.values(), strict=True)}


def agreement(asked: Mapping[str, Worker], first: str, folder: Path) -> dict[str, dict[str, float]]:
    """Loads one side's weights into all; of each, the largest difference from the peer, over the largest value.

    Of gradients over all parameters: some are zero but for rounding, such as that of a bias of keys.
    """
    from safetensors.torch import load_file

    makers = [side for side in asked if SIDES[side].ours == (first == "ours")]
    asked[makers[0]].ask("save", path=str(folder / "weights"))
    for side, worker in asked.items():
        if side not in makers:
            worker.ask("load", path=str(folder / "weights"))
        worker.ask("answer", path=str(folder / side))
    theirs = load_file(folder / "peer")
    expected = theirs.pop("output")
    found = {}
    for side in asked:
        own = load_file(folder / side)
        output = (own.pop("output") - expected).abs().max() / expected.abs().max()
        assert own.keys() == theirs.keys(), f"{side}: {own.keys() ^ theirs.keys()}"
        apart = max(float((own[name] - theirs[name]).abs().max()) for name in own)
        most = max(float(theirs[name].abs().max()) for name in own)
        found[side] = {"output": float(output), "gradients": apart / most}
    return found


def limits(threads: int) -> dict[str, float]:
    return json.loads(_output(sys.executable, str(HERE / "limits.py"), str(threads)))


def between(one: Mapping[str, float], two: Mapping[str, float]) -> dict[str, float]:
    """The mean of what was measured before and after."""
    return {name: (one[name] + two[name]) / 2 for name in one}


def provenance() -> dict[str, Any]:
    import torch

    commit = _output("git", "-C", str(HERE), "rev-parse", "--short", "HEAD").strip()
    changed = _output("git", "-C", str(HERE), "status", "--porcelain", "--", "../filmgrain")
    return {
        "commit": commit + (" and changes" if changed.strip() else ""),
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in about.read_text().splitlines() if "model name" in line]
        if about.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def other(name: str, repeats: int, threads: int) -> dict[str, Any]:
    if name == "startup":
        return {
            "seconds": startup.measured(repeats),
            "help_imports_torch": startup.help_imports_torch(),
            **provenance(),
        }
    if name in ("clips", "pictures"):
        script = str(HERE / f"{name}.py")
        return json.loads(_output(sys.executable, script, str(repeats), str(threads))) | provenance()
    found = growth.measured(max(1, repeats // 2), threads)
    growth.plot(found, DOCS / "pictures" / "growth.png")
    return found


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What was measured before of other sides stays, but for times, which are of one run or of none.

    Limits and repetitions are those of the times: a run without times leaves them as they are.
    """
    by_side = ("parameters", "agreement", "peak", "saved", "seconds", "commits")
    kept = {key: old[key] | new[key] for key in by_side if key in old and key in new}
    if old and not new["seconds"]:
        kept |= {key: old[key] for key in ("limits", "threads", "repeats", "when") if key in old}
    return old | new | kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*CASES, *OTHERS], default=[*CASES, *OTHERS])
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=USUAL)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="2 repetitions")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="write the page alone")
    given = parser.parse_args()
    results = json.loads(given.results.read_text()) if given.results.exists() else {}
    for name in () if given.page else given.only:
        repeats = 2 if given.quick else given.repeats
        print(f"{name} ...", flush=True)
        if name in CASES:
            entry = compared(name, given.sides, given.measures, repeats, given.threads)
            cases = results.setdefault("cases", {})
            cases[name] = merged(cases.get(name, {}), entry)
        else:
            results[name] = other(name, repeats, given.threads)
        given.results.write_text(json.dumps(results, indent=1) + "\n")  # after each, so that nothing is lost
    print("\n".join(page.page(results)))
    if given.results == RESULTS:
        page.write(DOCS / "performance.md", results)


if __name__ == "__main__":
    main()
