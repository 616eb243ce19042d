"""Files written while the next ones are still being made: calls run one after another in a thread of their own."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any


class Background:
    """One thread, in the order of its calls, for as long as the context lasts.

        with Background() as later:
            later(write_gif, path, frames, fps)    # returns at once
            later.check()                          # raises what a call has raised
            later.wait()                           # until all are done

    Leaving waits too. Leaving by an error, such as Ctrl-C, drops the calls that have not begun and waits for the one
    that has: with writers that put whole files in place, no part of one is left.
    """

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="filmgrain-background")
        self.calls: list[Future[Any]] = []

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.calls.append(self.thread.submit(call, *arguments))

    def check(self) -> None:
        for call in self.calls:
            if call.done():
                call.result()

    def wait(self) -> None:
        for call in self.calls:
            call.result()
        self.calls = []

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self.thread.shutdown(cancel_futures=True)
