"""`filmgrain report RUN`: a run as one HTML file."""

from pathlib import Path
from typing import Annotated

from typer import Option

from .. import __version__
from .console import say
from .flags import RunFolder


def report(
    run: RunFolder,
    out: Annotated[Path | None, Option(help="File to write.  [default: report.html in the run]")] = None,
) -> None:
    """Write a run as one HTML file that needs nothing else: curves, previews over time, data, events, recipe."""
    from ..doctor.run import CHECKS
    from ..files.fsio import write_text
    from ..watching.history import History
    from ..watching.report import page

    history = History(run)
    findings = [str(finding) for check in CHECKS for finding in check(history)]
    out = out or run / "report.html"
    write_text(out, page(history, findings=findings, version=__version__))
    say(str(out))
