"""SIGTERM and SIGINT as a request that the loop answers between two steps, and a preview at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """The run was told to stop and has saved. Like KeyboardInterrupt no error, so `except Exception` lets it pass."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        return 128 + self.signum  # as a shell reports a process that died of the signal


class Signals:
    """Notes the first signal; a second one of the same kind acts as it would without us."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._at_once = False
        self._former: dict[int, object] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._former = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def poll(self) -> None:
        if self.received is not None:
            raise Stopped(self.received)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a signal raises `Stopped` where it arrives: for work that may be broken off anywhere."""
        self.poll()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self._former[number])  # type: ignore[arg-type]
        if self._at_once:
            self._at_once = False
            raise Stopped(number)
