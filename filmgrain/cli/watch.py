"""`filmgrain watch RUN`: a run as it goes, on one page of the terminal."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .console import console


def watch(
    run: Annotated[Path, Argument(help="Folder that `filmgrain train` writes, or has written.")],
    once: Annotated[bool, Option("--once", help="Print the page once, as is done where there is no terminal.")] = False,
    every: Annotated[float, Option(min=0.1, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Show a run until it has finished: step, losses by noise level, speed, memory, events, the last preview."""
    from rich.live import Live

    from ..watching.history import History
    from ..watching.screen import screen

    history = History(run)
    if once or not console.is_terminal:
        console.print(screen(history))
        return
    with Live(screen(history), console=console, auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while not history.finished:
            time.sleep(every)
            live.update(screen(history.update()), refresh=True)
        live.update(screen(history.update()), refresh=True)  # it may have finished after the last look
