"""Everything of a folder decoded into the cache before the first step, by several processes, bad files sorted out."""

import os
import stat
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from ..files.folder import pictures_in
from ..files.member import Member
from . import cache
from .cache import Entry, Scaled, Source
from .decoder import Decoder

Progress = Callable[[int, int], None]  # files done, files in all; called in the caller's thread
Done = SimpleQueue[tuple[int, Entry | str | BaseException]]
LOOK = 1.0  # seconds between two looks at decoders that may be late

_digests: dict[Hashable, str] = {}  # of files as they were: a run makes several datasets of one folder


def check(processes: int) -> None:
    if processes < 0:
        raise ValueError(f"processes={processes} is negative; use 0 for one a core")


def prepare(
    paths: Sequence[Source], scaled: Scaled, *, processes: int = 0, progress: Progress | None = None
) -> list[Entry | str]:
    """The cache's entry of each path, or the reason why there is none. `processes` 0: one a core.

    Only what is not in the cache is decoded. Raises OSError if the cache cannot be written.
    """
    todo = deque(enumerate(paths))
    decoders = [Decoder(scaled) for _ in range(min(processes or os.cpu_count() or 1, len(paths)))]
    done: Done = SimpleQueue()
    threads = [Thread(target=_work, args=(decoder, todo, done), daemon=True) for decoder in decoders]
    results: dict[int, Entry | str] = {}
    try:
        for thread in threads:
            thread.start()
        while len(results) < len(paths):
            index, result = _next(done, decoders)
            if isinstance(result, BaseException):
                raise result
            results[index] = result
            if progress:
                progress(len(results), len(paths))
    finally:
        todo.clear()
        for decoder, thread in zip(decoders, threads, strict=True):
            while len(results) < len(paths) and thread.is_alive():  # what is asked for is not wanted any more
                decoder.kill()
                thread.join(LOOK / 10)
            thread.join()
    return [results[index] for index in range(len(paths))]


def _work(decoder: Decoder, todo: deque[tuple[int, Source]], done: Done) -> None:
    """A thread's life, that of one decoder: the next file, until none is left."""
    with suppress(IndexError):
        while True:
            index, path = todo.popleft()
            try:
                done.put((index, _prepared(path, decoder)))
            except BaseException as error:
                done.put((index, error))
    decoder.stop()


def _next(done: Done, decoders: Sequence[Decoder]) -> tuple[int, Entry | str | BaseException]:
    while True:
        for decoder in decoders:
            decoder.end_if_late()
        with suppress(Empty):
            return done.get(timeout=LOOK)


def _prepared(path: Source, decoder: Decoder) -> Entry | str:
    try:
        stamp = _stamp(path)
    except OSError as error:
        return error.strerror or str(error)
    digest = _digests.get(stamp)
    entry = (cache.find(digest, decoder.scaled) if digest else None) or decoder.entry(path)
    if isinstance(entry, Entry):
        _digests[stamp] = entry.digest
    return entry


def _stamp(path: Source) -> Hashable:
    """What changes when a file's content does."""
    if isinstance(path, Member):
        return path
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return path, *map(_stamp, pictures_in(path))
    return path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
