"""What has gone wrong in a run, as its rows, events and folders tell. The subject is a `History`."""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterator

from ..files import fsio
from ..watching.history import LEVEL, History
from .finding import Finding, note, problem, some

PART = 10  # a tenth of the rows is what is compared
ENOUGH = 40  # rows, of which a tenth has a mean
ROSE, FELL = 1.25, 0.97  # of the last tenth's loss, over the least and over the first
OVERFIT = 1.1  # of the held-out loss, over its least
EXPLODED = 10  # of the gradient's norm, over its median
SKIPPED = 0.01  # part of the steps
SLOWER = 0.5  # of the speed that was usual
ANNEALED = 0.2  # of train.lr, at the end


def not_finite(run: History) -> Iterator[Finding]:
    for row in run.figures:
        names = [name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        if "validation/loss" not in row and any(key.startswith(LEVEL) for key in row):
            names.append("validation/loss")  # which the log leaves out, as JSON has no such number
        if names:
            what = f"{some(names)} is not finite at step {row['step']:,}"
            yield problem(str(run.folder), what, "lower train.lr, or use train.precision=float32")
            return


def skipped_steps(run: History) -> Iterator[Finding]:
    count = round(run.last("skipped") or 0)
    if count:
        say = problem if count > SKIPPED * max(1, run.step) else note
        batches = [row["sources"] for row in run.rows if isinstance(row.get("sources"), list)]
        sources = Counter(name for batch in batches for name in set(map(str, batch)))
        often = [name for name, times in sources.most_common(3) if times > 1]
        what = f"{count:,} of {run.step:,} steps were skipped for a gradient that was not finite"
        what += f"; their batches share {some(often)}" if often else ""
        yield say(str(run.folder), what, "look at those files; lower train.lr, or use train.precision=float32")


def loss_rose(run: History) -> Iterator[Finding]:
    """Tenths are compared: the last with the least of all."""
    steps, means = _tenths(run, "loss")
    if means and means[-1] > ROSE * (least := min(means)):
        what = f"the training loss rose from {least:.4g} near step {steps[means.index(least)]:,} to {means[-1]:.4g}"
        yield problem(str(run.folder), what, f"lower train.lr={run.setting('train.lr', 0.0):g}, in a new run")


def loss_never_fell(run: History) -> Iterator[Finding]:
    _, means = _tenths(run, "loss")
    if means and FELL * means[0] <= means[-1] <= ROSE * min(means):
        what = f"the training loss has not fallen: {means[0]:.4g} in the first tenth, {means[-1]:.4g} in the last"
        yield problem(str(run.folder), what, "look at the data by filmgrain doctor FOLDER, and at train.lr")


def overfitting(run: History) -> Iterator[Finding]:
    steps, losses = run.series("validation/loss")
    _, training = _tenths(run, "loss")
    if len(losses) < 3 or not training or training[-1] > training[0]:
        return
    least = min(range(len(losses)), key=losses.__getitem__)
    if losses[-1] > OVERFIT * losses[least] and least < len(losses) * 2 / 3:
        what = f"the held-out loss was {losses[least]:.4g} at step {steps[least]:,} and is {losses[-1]:.4g}"
        yield note(str(run.folder), what, "give more data, a smaller network or fewer steps; or look for copies")


def gradient_exploded(run: History) -> Iterator[Finding]:
    steps, norms = run.series("gradient_norm")
    if len(norms) >= ENOUGH and max(norms[PART:]) > EXPLODED * (usual := statistics.median(norms)) > 0:
        largest = max(range(PART, len(norms)), key=norms.__getitem__)
        what = f"the gradient's norm was {norms[largest]:.3g} at step {steps[largest]:,}, and usually is {usual:.3g}"
        do = "set train.clip=1" if not run.setting("train.clip", 1.0) else "lower train.lr if the loss rises there"
        yield note(str(run.folder), what, do)


def not_annealed(run: History) -> Iterator[Finding]:
    """A cosine that was cut off, without an average that would do the same."""
    rate, last = run.setting("train.lr", 0.0), run.last("lr")
    cut = run.setting("train.schedule", "") == "cosine" and run.quiet()
    if rate and last and cut and last > ANNEALED * rate and run.step > run.setting("train.warmup", 0):
        what = f"the cosine of train.lr ended at {last:.3g} of {rate:g}, step {run.step:,} of {run.steps:,}"
        yield note(str(run.folder), what, f"go on to its end: filmgrain train --resume --run {run.folder}")


def slower(run: History) -> Iterator[Finding]:
    _, speeds = run.series("steps_per_second")
    if len(speeds) >= ENOUGH:
        last, usual = statistics.median(speeds[-PART:]), statistics.median(speeds)
        if last < SLOWER * usual:
            what = f"the last rows made {last:.3g} steps a second, and {usual:.3g} were usual"
            yield note(str(run.folder), what, "look for other programs, heat, a full memory or a slow disk")


def failed(run: History) -> Iterator[Finding]:
    events = [event for event in run.events if event.name != "skipped"]
    for name in dict.fromkeys(event.name for event in events):
        last = [event for event in events if event.name == name][-1]
        times = sum(event.name == name for event in events)
        what = f"{times:,} times {name}, the last at step {last.step:,}: {last.text[:200]}"
        yield problem(str(run.folder), what, "do what it says; training went on without")


def quarantined(run: History) -> Iterator[Finding]:
    if files := run.quarantined:
        what = f"{len(files):,} files were refused, such as {files[0][0]}: {files[0][1]}"
        yield note(str(run.folder), what, f"{run.folder / 'quarantine.jsonl'} names them all; mend or remove them")


def damaged(run: History) -> Iterator[Finding]:
    """Every checkpoint is read and compared with its manifest."""
    sound = 0
    for folder in run.checkpoints:
        try:
            fsio.verify(folder)
            sound += 1
        except fsio.Damaged as error:
            yield problem(str(run.folder), str(error), "remove that checkpoint; the newest sound one is used")
    if not sound:
        yield problem(str(run.folder), "no checkpoint is sound, or there is none", "train again, in a new run")


def unfinished(run: History) -> Iterator[Finding]:
    if run.steps and run.quiet():
        what = f"the run stands at step {run.step:,} of {run.steps:,}, and nothing is written to it"
        yield note(str(run.folder), what, f"to go on: filmgrain train --resume --run {run.folder}")


def _tenths(run: History, name: str) -> tuple[list[int], list[float]]:
    """The last step and the mean of each tenth of the finite rows; nothing for too few."""
    steps, values = run.series(name)
    pairs = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    if len(pairs) < ENOUGH:
        return [], []
    edges = [i * len(pairs) // PART for i in range(PART + 1)]
    parts = [pairs[a:b] for a, b in itertools.pairwise(edges)]
    return [part[-1][0] for part in parts], [statistics.fmean(value for _, value in part) for part in parts]


CHECKS = (
    not_finite,
    skipped_steps,
    loss_rose,
    loss_never_fell,
    overfitting,
    gradient_exploded,
    not_annealed,
    slower,
    failed,
    quarantined,
    damaged,
    unfinished,
)
