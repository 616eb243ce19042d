"""A7: no file that is trained on can crash, hang or change a run: the bad ones are named, those only odd are used.

python malformed.py FOLDER [--page docs/reliability.md]    the verdict on each file, as a table
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import odd_texts
from children import forked
from odd_files import EITHER, IGNORED, REFUSED, USED, Odd, disc, make_pictures, pictures, sound, videos
from target import RECIPE, emptied, left
from trial import Trial, first, unless

from filmgrain import runs
from filmgrain.data import image_folder, stream, video_folder
from filmgrain.data.listing import Listing
from filmgrain.data.loader import Loader

LIMIT = 300  # seconds for one file on a busy machine
SIZE = {"height": 16, "width": 16, "held_out": 0.0}


@dataclass(frozen=True)
class Place:
    """A folder of good files that an odd one is put into, and who reads it."""

    root: Path
    module: Any  # of data/
    settings: dict[str, Any]
    beside: bool  # whether the odd file lies among the good ones, and not in a folder of its own

    def config(self) -> Any:
        return self.module.Config(folder=str(self.root), cache=str(self.root.with_suffix(".cache")), **self.settings)

    def path(self, odd: Odd) -> Path:
        return self.root / odd.name if self.beside else self.root / "odd" / odd.name


def places(root: Path) -> tuple[Place, Place, Place]:
    """Of clips, of pictures and of shards."""
    clips = Place(root / "clips", video_folder, SIZE | {"frames": 4, "processes": 1}, beside=False)
    stills = Place(root / "stills", image_folder, SIZE | {"processes": 1}, beside=True)
    shards = Place(root / "shards", stream, SIZE, beside=True)
    for place in (clips, stills, shards):
        place.root.mkdir(parents=True)
    for number in range(3):
        make_pictures(clips.root / f"good-{number}.gif", disc(6 + number), "GIF", duration=50)
        make_pictures(stills.root / f"good-{number}.png", disc(1) + number, "PNG")
    odd_texts.good_shard(shards.root / "good.tar")
    return clips, stills, shards


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    files = sound(root / "sound")
    clips, stills, shards = places(root)
    for place, found in (
        (clips, list(videos(files))),
        (stills, [*pictures(files), *odd_texts.texts()]),
        (shards, list(odd_texts.shards())),
    ):
        chosen = some(found) if quick else found
        before, judged = look(place), []
        for odd in chosen:
            trial, verdict = alone(place, odd, before)
            judged.append((odd, verdict))
            yield trial
        if place is clips:
            yield Trial("all at once", f"{len(chosen)} files in one run", together(root, clips, judged))


def some(found: list[Odd]) -> list[Odd]:
    """Of each kind the first two."""
    kinds: dict[str, list[Odd]] = {}
    for odd in found:
        kinds.setdefault(odd.kind, []).append(odd)
    return [odd for group in kinds.values() for odd in group[:2]]


def look(place: Place) -> dict[str, Any]:
    """What a process that reads the folder finds in it; {"fault": ...} if it does not live to tell."""
    told = place.root.with_suffix(".json")
    told.unlink(missing_ok=True)

    def work() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        data = place.module.Dataset(place.config())
        refused = {file.path: file.reason for file in data.refused}
        batches = list(islice(Loader(data, batch=3, seed=0).batches(), 4))
        digest = hashlib.sha256(b"".join(batch["x"].numpy().tobytes() for batch in batches)).hexdigest()
        if hasattr(data, "shares"):
            used = [name for name, _, _ in data.shares()]
        else:
            used = [name for batch in batches for name in batch["source"]]
        told.write_text(json.dumps({"refused": refused, "digest": digest, "used": used}))

    ended = forked(work, place.root.with_suffix(".said"))
    if ended.killed:
        return {"fault": f"hangs: over {LIMIT} s"}
    return json.loads(told.read_text()) if ended.code == 0 else {"fault": f"ends with {ended}"}


def alone(place: Place, odd: Odd, before: dict[str, Any]) -> tuple[Trial, str]:
    """One odd thing among good files, and what becomes of it."""
    path = place.path(odd)
    path.parent.mkdir(exist_ok=True)
    odd.make(path)
    try:
        found = look(place)
        name = Listing(place.root).name(path)
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if "fault" in found:
        return Trial(odd.kind, odd.name, found["fault"]), found["fault"]
    mine = {file: why for file, why in found["refused"].items() if file == name or file.startswith(f"{name}/")}
    used = any(file == name or file.startswith(f"{name}/") for file in found["used"])
    verdict = USED if used else REFUSED if mine else IGNORED
    reason = next(iter(mine.values()), "")
    same = found["digest"] == before["digest"]
    fault = first(
        unless(verdict == odd.fate or odd.fate == EITHER, f"is {verdict}: {reason}"),
        unless(verdict == USED or same, "changes what is trained on"),
        unless(set(found["refused"]) == set(mine), f"others are refused: {found['refused']}"),
        unless(reason.isprintable() and len(reason) < 400, f"has no reason on one line: {reason!r}"),
    )
    said = name.rpartition("/")[2] if len(name) < 60 else f"{name.rpartition('/')[2][:40]}…"
    return Trial(odd.kind, f"{said}\t{verdict}\t{reason}", fault), verdict


def together(root: Path, place: Place, judged: list[tuple[Odd, str]]) -> str:
    """All of them in one folder, trained on: the same run as on the folder without those that are not used."""
    paths = []
    for number, (odd, verdict) in enumerate(judged):
        path = place.root / f"{number:03}" / odd.name
        path.parent.mkdir()
        odd.make(path)
        paths.append((path, verdict))
    config = replace(place.config(), flip=True)
    recipe = replace(RECIPE, data=config)
    if (messy := _train(recipe, root / "messy")) != 0:
        return f"the run ends with {messy}"
    named = {json.loads(line)["path"] for line in (root / "messy" / "quarantine.jsonl").read_text().splitlines()}
    listed = Listing(place.root)
    for path, verdict in paths:
        name = listed.name(path)
        if (verdict == REFUSED) != any(file == name or file.startswith(f"{name}/") for file in named):
            return f"{name} is {verdict}, and quarantine.jsonl says otherwise"
        if verdict != USED:
            shutil.rmtree(path.parent)
    if (clean := _train(recipe, root / "clean")) != 0:
        return f"the run on the cleaned folder ends with {clean}"
    shutil.rmtree(place.root)
    return unless(left(root / "messy") == left(root / "clean"), "the run differs from that on the cleaned folder")


def _train(recipe: Any, folder: Path) -> int:
    return forked(lambda: runs.train(recipe, folder), folder.with_suffix(".said")).code


def table(found: list[Trial]) -> str:
    rows = sorted((trial.kind, *trial.what.split("\t")) for trial in found if "\t" in trial.what)
    verdicts = {verdict: sum(row[2] == verdict for row in rows) for verdict in (REFUSED, USED, IGNORED)}
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    faults = [f"- {trial.kind}, {trial.what}: {trial.fault}" for trial in found if trial.fault]
    lines = [f"{len(rows)} files: {counts}; {len(faults)} not as promised.", "", *faults, ""]
    lines += ["| kind | file | verdict |", "|---|---|---|"]
    for kind, name, verdict, reason in rows:
        cells = kind, f"`{name}`".replace("``", "`"), f"{verdict}: {reason}" if reason else verdict
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--quick", action="store_true")
    typed = parser.parse_args()
    emptied(typed.folder).mkdir()
    text = table(list(trials(typed.folder, typed.quick)))
    if not typed.page:
        print(text)
        return
    page = typed.page.read_text(encoding="utf-8")
    before, rest = page.split("<!-- the verdict on each -->\n", 1)
    _, after = rest.split("<!-- end of the verdicts -->", 1)
    marks = "<!-- the verdict on each -->\n\n", "\n<!-- end of the verdicts -->"
    typed.page.write_text(before + marks[0] + text + marks[1] + after, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
