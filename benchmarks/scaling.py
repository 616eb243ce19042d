"""Steps of training by 1 process of 1 thread, 1 of 2, and 2 of 1 (copies, and shards); and the bytes they send.

python benchmarks/scaling.py [--recipe demo] [--rounds 5] [--steps 8]      here, interleaved, medians
python benchmarks/scaling.py --paper                                       8 and 256 GPUs, computed
"""

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WORLDS = {  # name: processes, threads of each, sharded
    "1 process, 1 thread": (1, 1, False),
    "1 process, 2 threads": (1, 2, False),
    "2 processes, 1 thread each": (2, 1, False),
    "the same, sharded": (2, 1, True),
}
# NVIDIA's H100 SXM: bfloat16 without sparsity at 35 % of 989 TFLOP/s, as large U-Nets reach; the bus bandwidth of NCCL
# within a machine of 8 by NVLink, and between machines by one 400 Gb/s adapter a GPU at 80 %.
FLOPS, NVLINK, NETWORK, ROOM = 0.35 * 989e12, 370e9, 40e9, 80e9


def member(recipe_name: str, steps: int, sharded: bool) -> None:
    """One process: its part of the same batch, again and again; the first prints seconds a step and bytes."""
    import torch

    from filmgrain import recipe as recipes
    from filmgrain import runs
    from filmgrain.allocator import keep_freed_memory
    from filmgrain.rooms import find, name_of
    from filmgrain.training.place import Place
    from filmgrain.training.step import Stepper
    from filmgrain.training.world import joined

    keep_freed_memory()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with joined() as world:
        recipe = recipes.override(recipes.load(recipe_name), [f"train.sharded={str(sharded).lower()}"])
        torch.manual_seed(0)
        model = runs.build(recipe).train()
        task = find("tasks", name_of(recipe.task)).Task(
            recipe.task, model, seed=0, held_out=None, sampling=recipe.sample
        )
        stepper = Stepper(task, recipe.train, Place(torch.device("cpu"), torch.float32), world)
        share = recipe.train.batch // world.size
        batch = {
            "x": torch.rand(share, *recipe.data.shape) * 2 - 1,
            "n": torch.arange(share) + world.rank * share,
            "label": torch.zeros(share, dtype=torch.int64),
        }
        for number in range(2):
            float(stepper.step(number, [batch])["loss"])
        world.highest(0)
        sent, times = _sent(), []
        for number in range(steps):
            start = time.perf_counter()
            float(stepper.step(number, [batch])["loss"])
            times.append(time.perf_counter() - start)
        world.highest(0)
        parameters = sum(p.numel() for p in model.parameters())
        if world.leads:
            found = {"seconds": statistics.median(times), "sent": (_sent() - sent) / steps, "parameters": parameters}
            print(json.dumps(found), flush=True)


def _sent() -> int:
    """Bytes that have gone over the loopback of this machine, those of others included."""
    rows = [line.split() for line in Path("/proc/net/dev").read_text().splitlines()]
    return next(int(row[9]) for row in rows if row[0] == "lo:")


def launched(options: argparse.Namespace, processes: int, threads: int, sharded: bool) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--member", "--recipe", options.recipe, "--steps", str(options.steps)]
    started = []
    for rank in range(processes):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
        environment = os.environ | {key: str(value) for key, value in place.items()}
        environment |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": str(threads)}
        words = [*command, *(["--sharded"] if sharded else [])]
        started.append(subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True))
    said = [process.communicate()[0] for process in started]
    assert all(process.returncode == 0 for process in started)
    return json.loads(said[0].splitlines()[-1])


def measure(options: argparse.Namespace) -> None:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WORLDS}
    for _ in range(options.rounds):
        for name, (processes, threads, sharded) in WORLDS.items():
            found[name].append(launched(options, processes, threads, sharded))
    base = [row["seconds"] for row in found["1 process, 2 threads"]]
    print("| | seconds a step | speed, of 1 process of 2 threads | bytes sent a step |\n|---|---|---|---|")
    for name, rows in found.items():
        seconds = [row["seconds"] for row in rows]
        ratios = sorted(b / s for b, s in zip(base, seconds, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        sent = statistics.median(row["sent"] for row in rows)
        print(f"| {name} | {statistics.median(seconds):.3f} | {spread} | {sent / 1e6:.2f} MB |")
    print(f"\n{options.recipe}: {rows[0]['parameters']:,} parameters; {options.rounds} rounds of {options.steps} steps")


def paper() -> None:
    """Of every shipped recipe, one GPU for each sample or each two: what is computed, sent and held."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from filmgrain import recipe as recipes
    from filmgrain.cli.flow import blueprint
    from filmgrain.cli.probe import kept_gigabytes

    print("| recipe | parameters | TFLOP a sample | state, copies | state, sharded over 8 | kept a sample |")
    print("|---|---|---|---|---|---|")
    lines = []
    for path in sorted((Path(__file__).parents[1] / "recipes").glob("*.toml")):
        recipe = recipes.override(recipes.load(str(path)), ["train.batch=1", "train.accumulate=1"])
        model = blueprint(recipe)
        count = sum(p.numel() for p in model.parameters() if p.requires_grad)
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            model.raw(torch.zeros(1, *model.shape), torch.zeros(1), model.null(1))
        flops, kept = 3 * counter.get_total_flops(), kept_gigabytes(recipe)
        print(
            f"| {path.stem} | {count / 1e6:.1f} M | {flops / 1e12:.3f} | {20 * count / 1e9:.2f} GB | "
            f"{20 * count / 8 / 1e9:.2f} GB | {kept:.2f} GB |"
        )
        lines.append(_expected(path.stem, count, flops, kept))
    print("\n| recipe | samples a GPU | compute | messages, 8 GPUs | part | messages, 256 GPUs | part |")
    print("|---|---|---|---|---|---|---|", *lines, sep="\n")


def _expected(name: str, count: int, flops: float, kept: float) -> str:
    """As many samples a GPU as fill half a GPU, 32 at most: in milliseconds."""
    samples = max(1, min(32, int((0.5 * ROOM - 20 * count) / (kept * 1e9 / 2))))  # bfloat16 keeps about half
    samples = 2 ** int(math.log2(samples))
    compute = flops * samples / FLOPS
    inside = 2 * 7 / 8 * 4 * count / NVLINK
    across = inside + 2 * 31 / 32 * 4 * count / 8 / NETWORK  # each GPU of a machine carries an eighth between machines
    cells = [f"{1e3 * inside:.1f} ms", f"{inside / compute:.1%}", f"{1e3 * across:.1f} ms", f"{across / compute:.1%}"]
    return f"| {name} | {samples} | {1e3 * compute:.1f} ms | {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--sharded", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.member:
        member(options.recipe, options.steps, options.sharded)
        os._exit(0)  # threads of gloo that outlive Python end in an abort
    elif options.paper:
        paper()
    else:
        measure(options)
