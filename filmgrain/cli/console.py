"""What commands print to: plain lines where there is no terminal, progress where there is one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(highlight=False, soft_wrap=True, emoji=False)  # a file may be named :like_this:


def say(*lines: str) -> None:
    for line in lines:
        console.print(line, markup=False)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is moved by calling (done, total), and leaves nothing behind."""
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        row = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(row, completed=done, total=total)


def steps_of(bar: Callable[[int, int], None], total: int) -> Callable[[range, object], None]:
    """What `generate` may call with the samples of a batch and each of their steps: the bar moves by as many."""
    done = 0

    def watch(ids: range, step: object) -> None:
        nonlocal done
        done += len(ids)
        bar(done, total)

    return watch
