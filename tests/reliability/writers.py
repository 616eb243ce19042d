"""A9: at every moment of a run, a second process is refused, and the newest sound checkpoint is never an older one."""

from collections.abc import Iterator
from pathlib import Path

from children import forked
from target import DATA, RECIPE, emptied, runs, trained
from trial import Trial, first, unless

from filmgrain.files import fsio


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    folder, log = emptied(root / "run"), root / "seen.jsonl"
    count = iter(range(1 << 30))

    def look(name: str) -> None:
        """In the process that trains: which checkpoint is the newest, and what another process is told."""
        number, code, said = next(count), 4, f"in use by process {own_pid(folder)}"
        if number > 2 and number % (12 if quick else 1) == 0:  # from the third moment on the run is locked
            resume = (folder / "checkpoints").is_dir() and number % 2 == 0
            code, said = forked(lambda: runs.train(RECIPE, folder, resume=resume, data=DATA), root / "second.said")
        newest = fsio.newest(folder / "checkpoints").folder
        fsio.append_jsonl(log, {"name": name, "code": code, "said": said, "newest": newest.name if newest else ""})

    ended = trained(folder, at=look)
    assert ended.code == 0, ended
    before = ""
    for row in fsio.read_jsonl(log):
        refused = row["code"] == 4 and "in use by process" in row["said"]
        yield Trial(
            "moments",
            row["name"],
            first(
                unless(refused, f"the second process ended with {row['code']}: {row['said']}"),
                unless(
                    row["newest"] >= before, f"{before} was the newest checkpoint, and now {row['newest'] or 'none'}"
                ),
            ),
        )
        before = row["newest"]


def own_pid(folder: Path) -> str:
    return (folder / "lock").read_text().strip() if (folder / "lock").exists() else ""
