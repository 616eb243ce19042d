"""A6: told to stop by SIGTERM or SIGINT, in any phase: saved, left with 143 or 130, and resumed bit for bit."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

from kills import phases_of
from moments import on, told
from target import RECIPE, Left, begun, difference, emptied, finished, left, moments_of, reached, trained
from trial import Trial, first, unless

BEFORE = 20  # moments in which the run is being set up; before the signals are listened to they end the process at once


def but_due(found: Left) -> Left:
    """Without what a checkpoint says is due: the last one may have been saved before its preview, which came later."""
    files = {name: data for name, data in found.files.items() if not name.endswith("manifest.json")}
    states = {name: json.loads(data) | {"due": []} for name, data in files.items() if name.endswith("state.json")}
    return found._replace(files=files | {name: json.dumps(state).encode() for name, state in states.items()})


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    names = moments_of(lambda at: trained(root / "whole", at=at), root / "names")
    whole, folder = left(root / "whole"), root / "trial"
    over = len(names) - 1 - names[::-1].index("step " + str(RECIPE.train.steps))  # of the last step
    for number, (name, phase) in enumerate(zip(names, phases_of(names), strict=True)):
        if quick and number % 6:
            continue
        asked = (signal.SIGTERM, signal.SIGINT)[number // (6 if quick else 1) % 2]
        ended = trained(emptied(folder), at=on(number, told(asked)))
        done = reached()
        at_once = number < BEFORE and ended.code in (-asked, 130)
        complete = number > over and ended.code == 0  # nothing was left to do but to save
        stopped = unless(ended.code == 128 + asked or at_once or complete, f"{asked.name} ended with {ended}")
        again = finished(folder)
        lost = max(0, done - begun(again))
        yield Trial(
            f"{asked.name} in {phase}",
            name,
            first(
                stopped,
                unless(again.code == 0, f"could not be resumed: {again}"),
                unless(lost == 0 or at_once, f"{lost} of {done} steps were lost"),
                "" if again.code else difference(folder, whole, but_due),
            ),
        )
