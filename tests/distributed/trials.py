"""Every trial of worlds, each by its name; prints what became of it as a JSON line: python trials.py FOLDER"""

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import members
import torch
import torch.distributed.checkpoint
import torch.distributed.fsdp
import torch.distributed.tensor
from regression import Regression, part_of
from torch import Tensor

from filmgrain.files import fsio
from filmgrain.training import Config, Run, checkpoint, train
from filmgrain.training import world as worlds
from filmgrain.training.world import ALONE, World

torch.set_num_threads(1)
os.fsync = lambda file: None  # test_fsio.py holds the order of syncs
CONFIG = Config(
    precision="float32",
    steps=12,
    batch=8,
    save_every=5,
    log_every=4,
    validate_every=6,
    preview_every=7,
    warmup=3,
    weight_decay=0.1,
    keep=9,
)
SHARDED = replace(CONFIG, sharded=True)
FOLDER = Path(sys.argv[1])


def trained(name: str, config: Config = CONFIG, *, task: type[Regression] = Regression, **how: Any) -> members.Member:
    """A member that trains, and returns the draws that it saw and the previews that it made."""

    def member(world: World) -> Any:
        bad, resume = how.get("bad", frozenset()), how.get("resume", False)
        other = world.rank if resume or not config.sharded else 0  # shards are cut from the same weights in each
        made = task(other + 10 * resume)  # otherwise from other weights, so that they must be told
        batches = part_of(config.batch, world.rank, world.size, bad)
        train(made, batches, config, Run(folder=FOLDER / name, recipe="a = 1"), resume=resume, world=world)
        held = sum(p.numel() for p in made.model.net.parameters() if not hasattr(p, "to_local"))
        held += sum(p.to_local().numel() for p in made.model.net.parameters() if hasattr(p, "to_local"))
        return {"drawn": made.drawn, "previewed": made.previewed, "held": held}

    return member


def alone(name: str, config: Config = CONFIG, **how: Any) -> Any:
    """The same by one process, this one; the first of a run begins from the weights that rank 0 begins from."""
    with contextlib.redirect_stdout(None):
        return trained(name, config, **how)(ALONE)


def world_of(size: int, name: str, config: Config = CONFIG, **how: Any) -> dict[str, Any]:
    options = {key: how.pop(key) for key in ("patience", "limit") if key in how}
    return members.run(FOLDER / f"{name}-members", size, trained(name, config, **how), **options)


def state(name: str) -> dict[str, Tensor]:
    """Every tensor of a run's newest checkpoint."""
    newest, refused = fsio.newest(FOLDER / name / "checkpoints")
    assert newest is not None and not refused, refused
    return {f"{kind}/{k}": t for kind in checkpoint.KINDS for k, t in checkpoint.read(newest, kind).items()}


def apart(name: str, other: str = "one") -> float:
    """The largest difference of any number between two runs' newest checkpoints; infinity if they hold other names."""
    ours, theirs = state(name), state(other)
    if ours.keys() != theirs.keys():
        return float("inf")
    return max(float((ours[key].double() - theirs[key].double()).abs().max()) for key in ours)


def rows(name: str) -> list[dict[str, Any]]:
    found = fsio.read_jsonl(FOLDER / name / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in ("time", "steps_per_second", "memory_gb")} for row in found]


def checkpoints(name: str) -> list[str]:
    return [path.name for path in fsio.staged_folders(FOLDER / name / "checkpoints")]


class Trials:
    """Each method is a trial; a later one may compare with the runs of an earlier one."""

    def one(self) -> Any:
        alone("one")
        alone("accumulated", replace(CONFIG, batch=4, accumulate=2))
        return {"apart": apart("accumulated"), "rows": rows("one")}

    def copies(self) -> Any:
        return world_of(2, "copies") | {"apart": apart("copies"), "rows": rows("copies")}

    def copies_accumulated(self) -> Any:
        return world_of(2, "both", replace(CONFIG, batch=4, accumulate=2)) | {"apart": apart("both")}

    def shards(self) -> Any:
        found = world_of(2, "shards", SHARDED) | {"apart": apart("shards"), "rows": rows("shards")}
        parted = [name for name in checkpoints("shards") if checkpoint.is_sharded(FOLDER / "shards/checkpoints" / name)]
        return found | {"checkpoints": checkpoints("shards"), "sharded": parted}

    def four(self) -> Any:
        found = world_of(4, "four") | {"apart": apart("four")}
        return found | {"sharded": world_of(4, "four-shards", SHARDED) | {"apart": apart("four-shards")}}

    def another_number(self) -> Any:
        """1, 2, 4, 1 processes, copies and shards; each part ends off every interval, by a shorter run."""
        alone("changing", replace(CONFIG, steps=3))
        draws = []
        for steps, size, sharded in ((5, 2, False), (7, 4, True), (9, 2, True), (11, 2, False)):
            config = replace(CONFIG, steps=steps, sharded=sharded)
            found = world_of(size, "changing", config, resume=True)
            assert found["codes"] == [0] * size, found
            draws += sorted(n for result in found["results"] for n in result["drawn"])
        alone("changing", resume=True)
        return {"apart": apart("changing"), "draws": draws, "rows": rows("changing")}

    def from_parts(self) -> Any:
        """Sharded checkpoints, as a kill leaves them, go on in a world of another size and kind."""
        found = {}
        for size, sharded in ((1, False), (2, False), (4, True)):
            name = f"parts-{size}"
            (FOLDER / name).mkdir()
            copy(FOLDER / "shards", FOLDER / name, "step-00000010")
            config = replace(CONFIG, sharded=sharded)
            if size == 1:
                alone(name, config, resume=True)
            else:
                world_of(size, name, config, resume=True)
            found[name] = apart(name)
        return found

    def killed(self) -> Any:
        class Dies(Regression):
            def loss(self, batch: Any, group: str) -> Any:
                if 61 in batch["n"]:  # rank 1's part of step 8
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().loss(batch, group)

        first = {kind: world_of(2, f"killed-{kind}", config, task=Dies) for kind, config in KINDS.items()}
        again = {kind: world_of(2, f"killed-{kind}", config, resume=True) for kind, config in KINDS.items()}
        same = {kind: apart(f"killed-{kind}", kind) for kind in KINDS}
        return {"first": first, "again": again, "apart": same, "rows": [rows("killed-copies"), rows("copies")]}

    def hangs(self) -> Any:
        class Hangs(Regression):
            def loss(self, batch: Any, group: str) -> Any:
                if 60 in batch["n"]:  # rank 1's part of step 8
                    time.sleep(60)
                return super().loss(batch, group)

        return world_of(2, "hangs", task=Hangs, patience=1.5, limit=12)

    def hangs_in_preview(self) -> Any:
        worlds.ALONE_PATIENCE = 1  # type: ignore[assignment]

        class Hangs(Regression):
            def preview(self, folder: Path, step: int) -> list[Path]:
                time.sleep(60)
                return []

        try:
            return world_of(2, "hangs-in-preview", task=Hangs, patience=1.5, limit=12)
        finally:
            worlds.ALONE_PATIENCE = 60  # type: ignore[assignment]

    def told(self) -> Any:
        """SIGTERM to one process in a step, and to the first one in a preview."""

        class Told(Regression):
            def loss(self, batch: Any, group: str) -> Any:
                if 60 in batch["n"]:  # rank 1 in step 8
                    signal.raise_signal(signal.SIGTERM)
                return super().loss(batch, group)

        class ToldInPreview(Regression):
            def preview(self, folder: Path, step: int) -> list[Path]:
                signal.raise_signal(signal.SIGTERM)
                time.sleep(5)
                return []

        found = {}
        for kind, config in KINDS.items():
            for task in (Told, ToldInPreview):
                name = f"told-{kind}-{task.__name__}"
                stopped = world_of(2, name, config, task=task)
                at = checkpoints(name)[-1]
                again = world_of(2, name, config, resume=True)
                found[name] = {"codes": stopped["codes"], "at": at, "again": again["codes"], "apart": apart(name, kind)}
        return found

    def not_finite(self) -> Any:
        """Draw 30 is NaN: rank 1's part of step 4."""
        bad = frozenset({30})
        alone("bad-one", bad=bad)
        found = {kind: world_of(2, f"bad-{kind}", config, bad=bad) for kind, config in KINDS.items()}
        events = {kind: [row for row in rows(f"bad-{kind}") if row.get("event") == "skipped"] for kind in KINDS}
        return {"codes": [f["codes"] for f in found.values()], "events": events} | {
            "apart": [apart(f"bad-{kind}", "bad-one") for kind in KINDS]
        }

    def only_the_first_writes(self) -> Any:
        """The other one cannot."""

        def member(world: World) -> Any:
            if not world.leads:
                for name in ("write_text", "append_jsonl", "truncate_jsonl", "staged", "remove", "lock", "set_aside"):
                    setattr(fsio, name, None)
            return trained("written")(world)

        return members.run(FOLDER / "written-members", 2, member) | {"apart": apart("written", "copies")}

    def full_disk(self) -> Any:
        """The save of step 5 fails: in the first process, or in the other one's part."""
        found = {}
        for kind, config in KINDS.items():

            def member(world: World, kind: str = kind, config: Config = config) -> Any:
                _fill_disk(world, kind)
                return trained(f"full-{kind}", config)(world)

            ended = members.run(FOLDER / f"full-{kind}-members", 2, member)
            events = [row["text"] for row in rows(f"full-{kind}") if row.get("event") == "save failed"]
            found[kind] = ended | {"events": events, "at": checkpoints(f"full-{kind}")}
            found[kind]["apart"] = apart(f"full-{kind}", kind)
        return found

    def locked(self) -> Any:
        with fsio.lock(FOLDER / "locked"):
            return world_of(2, "locked")


KINDS = {"copies": CONFIG, "shards": SHARDED}


def copy(run: Path, to: Path, last: str) -> None:
    """A run as a kill right after the save of `last` leaves it."""
    import shutil

    for name in ("metrics.jsonl", "recipe.toml"):
        shutil.copy(run / name, to / name)
    for folder in fsio.staged_folders(run / "checkpoints"):
        if folder.name <= last:
            shutil.copytree(folder, to / "checkpoints" / folder.name)


def _fill_disk(world: World, kind: str) -> None:
    if kind == "copies" and world.leads:
        save = checkpoint.save

        def fails_at_5(run: Run, state: Any, *rest: Any) -> Path:
            if state.step == 5:
                raise OSError(28, "No space left on device")
            return save(run, state, *rest)

        checkpoint.save = fails_at_5
    if kind == "shards" and not world.leads:
        from torch.distributed.checkpoint.filesystem import FileSystem

        stream = FileSystem.create_stream

        def full(self: Any, path: Any, mode: str) -> Any:
            if "step-00000005" in str(path) and "w" in mode:
                raise OSError(28, "No space left on device")
            return stream(self, path, mode)

        FileSystem.create_stream = full  # type: ignore[method-assign]


if __name__ == "__main__":
    trials = Trials()
    for name in [name for name in vars(Trials) if not name.startswith("_")]:
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        began = time.monotonic()
        try:
            found = getattr(trials, name)()
        except Exception as error:
            import traceback

            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}"}
        seconds = round(time.monotonic() - began, 2)
        print(json.dumps({"trial": name, "seconds": seconds, **found}), file=sys.__stdout__, flush=True)
