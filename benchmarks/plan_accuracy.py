"""What `filmgrain plan` says of a run, against the run: seconds a step, and the most memory.

python benchmarks/plan_accuracy.py [NAME ...] [--precision float32 bfloat16] [--steps 20]

Plan and run are commands in processes of their own, one after the other, on GIFs and pictures that are made here. A
run's seconds a step are the median of its rows, one of which holds validation, preview and checkpoint; its memory is
that of its last row, the most that the process has held. (On its way out it touches more: 0.12 GB where torch is the
build for GPUs, whose libraries have much to unload.)
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import clips
import numpy as np
from page import table
from PIL import Image

FILMGRAIN = Path(sys.executable).with_name("filmgrain")
SAID = re.compile(r"a step of \d+ items: ([\d.e+-]+) s, and ([\d.]+) GB at most")


def _sized(frames: int, side: int, width: int, mults: str, patch: int, batch: int) -> list[str]:
    sizes = [f"data.height={side}", f"data.width={side}", *([f"data.frames={frames}"] if frames else [])]
    return [
        *sizes,
        f"network.width={width}",
        f"network.mults={mults}",
        f"network.patch={patch}",
        f"train.batch={batch}",
    ]


MAKES = {  # folder, and what is set
    "clips of 16x32x32, width 32, batch 2": ("gifs", _sized(16, 32, 32, "[1,2,4]", 1, 2)),
    "clips as these, batch 4 in 2 parts, a worker": (
        "gifs",
        [*_sized(16, 32, 32, "[1,2,4]", 1, 2), "train.accumulate=2", "train.workers=1"],
    ),
    "clips of 8x32x32, patch 2, width 64, batch 8": ("gifs", _sized(8, 32, 64, "[1,2,2]", 2, 8)),
    "clips of 10x64x64, width 64, 4 levels, batch 1": ("gifs", _sized(10, 64, 64, "[1,2,4,8]", 1, 1)),
    "pictures of 32x32, width 64, batch 16": ("pictures", _sized(0, 32, 64, "[1,2,2]", 1, 16)),
    "pictures of 64x64, width 128, batch 4": ("pictures", _sized(0, 64, 128, "[1,2,2,2]", 1, 4)),
}
SHORT = ["sample.steps=2", "task.validation=8"]  # what is not training
BOUNDS = {"seconds": 0.25, "GB": 0.15}


def command(*words: str) -> str:
    """What a command of filmgrain prints."""
    done = subprocess.run([FILMGRAIN, *words], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"filmgrain {' '.join(words)} failed:\n{done.stdout}")
    return done.stdout


def planned(folder: Path, settings: Sequence[str]) -> dict[str, float]:
    said = command("plan", str(folder), *_typed(settings))
    found = SAID.search(said)
    if not found:
        raise SystemExit(f"plan names no cost:\n{said}")
    return {"seconds": float(found[1]), "GB": float(found[2])}


def trained(folder: Path, settings: Sequence[str], steps: int) -> dict[str, float]:
    """Of a run of so many steps, rows of 4 each; the first row warms up, and half-way all is done but training."""
    often = [f"train.{what}_every={steps // 2}" for what in ("save", "validate", "preview")]
    own = [f"train.steps={steps}", "train.log_every=4", *often]
    with tempfile.TemporaryDirectory() as run:
        command("train", str(folder), "--run", f"{run}/run", *_typed([*settings, *own]))
        rows = [json.loads(line) for line in (Path(run) / "run" / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "steps_per_second" in row]
    seconds = statistics.median(1 / row["steps_per_second"] for row in rows[1:])
    return {"seconds": seconds, "GB": rows[-1]["memory_gb"]}


def _typed(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(200):
        pixels = np.kron(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8))
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of the names of what is compared; all by default")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for name, write in {"gifs": clips.write, "pictures": pictures}.items():
            (Path(root) / name).mkdir()
            write(Path(root) / name)
        for name, (folder, settings) in MAKES.items():
            if given.names and not name.startswith(tuple(given.names)):
                continue
            for precision in given.precision:
                own = [*settings, *SHORT, f"train.precision={precision}", f"data.cache={root}/cache"]
                said, was = planned(Path(root) / folder, own), trained(Path(root) / folder, own, given.steps)
                apart = {key: said[key] / was[key] - 1 for key in BOUNDS}
                met = all(abs(apart[key]) <= BOUNDS[key] for key in BOUNDS)
                cells = [f"{said[key]:.3g} / {was[key]:.3g} ({apart[key]:+.0%})" for key in BOUNDS]
                rows.append((name, precision, *cells, "yes" if met else "**no**"))
                print(*rows[-1], sep="  ", flush=True)
    print(
        *table(("run", "precision", "seconds a step, planned / run", "GB, planned / run", "within bounds"), rows),
        sep="\n",
    )


if __name__ == "__main__":
    main()
