"""Children: work done by a fork of this process, which may be killed in it, and what became of it.

torch is imported once, so that a trial costs tens of milliseconds; a fork is sound while the parent has no threads.
"""

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from filmgrain.cli.errors import report


class Ended(NamedTuple):
    code: int  # the exit code of the command line, or minus the signal
    said: str  # all that was printed

    @property
    def killed(self) -> bool:
        return self.code in (-signal.SIGKILL, -signal.SIGXFSZ, -signal.SIGALRM)


def forked(work: Callable[[], object], said: Path) -> Ended:
    """Does the work as the command line would: an error is one line and an exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # else each child's collector would copy all of the parent's memory
    child = os.fork()
    if child == 0:
        _live(work, said)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), said.read_text(errors="replace"))


def started(work: Callable[[], object], said: Path) -> int:
    """The same without waiting: the process's number."""
    child = os.fork()
    if child == 0:
        _live(work, said)
    return child


def _live(work: Callable[[], object], said: Path) -> None:
    code = 70
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts these in its background ignores it
    try:
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for standard in (1, 2):
            os.dup2(file, standard)
        work()
        code = 0
    except BaseException as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))  # what a trial may have lowered is of the run's files
        code = report(error, debug=False)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
