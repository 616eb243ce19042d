"""Finding: one thing that a check found."""

from dataclasses import dataclass

from ..watching.history import one_line


@dataclass(frozen=True)
class Finding:
    severity: str  # "problem": it costs the run or its quality; "note": to be known
    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return one_line(f"{self.severity}: {self.where}: {self.what}; {self.do}")


def problem(where: str, what: str, do: str) -> Finding:
    return Finding("problem", where, what, do)


def note(where: str, what: str, do: str) -> Finding:
    return Finding("note", where, what, do)


def some(names: list[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
