"""All checks of a subject, one after another."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import data, files, machine, recipe, run, weights
from .finding import Finding

SUBJECTS: dict[type, tuple[Callable[[Any], Iterator[Finding]], ...]] = {
    data.Look: data.CHECKS + files.CHECKS,
    recipe.Plan: recipe.CHECKS,
    machine.Machine: machine.CHECKS,
    run.History: run.CHECKS,
    weights.Weights: weights.CHECKS,
}


def examine(subjects: Iterable[object]) -> list[Finding]:
    """What every check of every subject finds; problems first."""
    found = [finding for subject in subjects for check in SUBJECTS[type(subject)] for finding in check(subject)]
    return sorted(found, key=lambda finding: finding.severity != "problem")


def count(subjects: Iterable[object]) -> int:
    """The checks that were made."""
    return sum(len(SUBJECTS[type(subject)]) for subject in subjects)
