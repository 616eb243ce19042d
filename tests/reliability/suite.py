"""Every promise of docs/reliability.md put to the test; prints a JSON line for each.

python suite.py FOLDER [--quick] [--only A1 A2 ...] [--page docs/reliability.md]
"""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)
PROMISES = {  # its module, and the promise in a few words
    "A1": ("kills", "killed anywhere: resumed bit for bit, one save interval lost at most"),
    "A1 sampling, exporting": (
        "exports",
        "killed while sampling or exporting: the run is as it was, a second try works",
    ),
    "A1 broken savers": ("broken_savers", "three ways of saving that are wrong are caught by the trials of A1"),
    "A2": ("power", "power lost: every legal state of the disk is readable"),
    "A3": ("exact", "resumed in the middle of an epoch, twice, whatever the settings: bit for bit"),
    "A4": ("damage", "a damaged checkpoint is noticed; never a silent new start"),
    "A5": ("disk_errors", "disk full or failing: the last checkpoint is intact, training goes on"),
    "A6": ("stops", "SIGTERM or SIGINT in any phase: saved, exit code 143 or 130"),
    "A7": ("malformed", "no file trained on can crash, hang or change a run: the bad ones are named, the odd used"),
    "A8": ("nonfinite", "a step that is not finite changes nothing and is named; many in a row end the run"),
    "A9": ("writers", "a second process is refused; nothing goes before a newer checkpoint verifies"),
    "A10": ("averages", "averaged weights: their recurrence, never mixed with raw ones"),
    "A11": ("observers", "previews and loggers can neither change nor stop training"),
    "A12": ("rehearsals", "what would fail at the end fails before the first step"),
    "B": ("failures", "workers, memory, other recipes, newer formats: one line, its own exit code"),
    "B soak": ("soak", "memory, open files and threads stay as they are"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(PROMISES), metavar="PROMISE")
    parser.add_argument("--page", type=Path)
    typed = parser.parse_args()
    warm(typed.folder)
    rows = [tried(name, typed.folder / name.replace(" ", "-"), typed.quick) for name in typed.only]
    if typed.page:
        import page

        page.write(typed.page, rows)
    sys.exit(any(row["faults"] for row in rows))


def warm(folder: Path) -> None:
    """Imports and compiles in this process what each child would else do for itself."""
    import target

    os.fsync = lambda file: None  # what is synced when is seen by its moments; nothing here is lost without it
    with contextlib.redirect_stdout(None):
        target.runs.train(target.RECIPE, folder / "warm", data=target.DATA)


def tried(name: str, folder: Path, quick: bool) -> dict[str, Any]:
    module, text = PROMISES[name]
    folder.mkdir(parents=True)
    began, kinds, passed, faults = time.monotonic(), Counter[str](), Counter[str](), []
    try:
        for trial in importlib.import_module(module).trials(folder, quick):
            kinds[trial.kind] += 1
            passed[trial.kind] += not trial.fault
            if trial.fault:
                faults.append(f"{trial.kind}: {trial.what}: {trial.fault}")
                print(f"{name}: {faults[-1]}", file=sys.stderr, flush=True)
    except Exception as error:  # of the trials themselves: the other promises have theirs
        traceback.print_exc()
        faults.append(f"broke off: {type(error).__name__}: {error}")
    shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    row = {"promise": name, "text": text, "trials": kinds.total(), "passes": passed.total(), "seconds": seconds}
    row |= {
        "quick": quick,
        "commit": commit(),
        "kinds": {kind: [passed[kind], count] for kind, count in kinds.items()},
        "faults": faults,
    }
    print(json.dumps(row), flush=True)
    return row


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
