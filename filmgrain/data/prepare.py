"""Everything of a folder decoded into the cache before the first step, by several processes, bad files sorted out."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Timer
from typing import Any

import filmgrain

from ..files.member import Member
from . import cache
from .cache import Entry, Scaled, Source

Progress = Callable[[int, int], None]  # files done, files in all; called in the caller's thread
STARTUP = 120.0  # seconds that a decoding process may take to start
PATIENCE = 900.0  # seconds that one file may take to decode


def check(processes: int) -> None:
    if processes < 0:
        raise ValueError(f"processes={processes} is negative; use 0 for one a core")


def prepare(
    paths: Sequence[Source], scaled: Scaled, *, processes: int = 0, progress: Progress | None = None
) -> list[Entry | str]:
    """The cache's entry of each path, or the reason why there is none. `processes` 0: one a core.

    Only what is not in the cache is decoded. Raises OSError if the cache cannot be written.
    """
    count = min(processes or os.cpu_count() or 1, len(paths)) or 1
    decoders = [Decoder(scaled) for _ in range(count)]
    idle: SimpleQueue[Decoder] = SimpleQueue()
    for decoder in decoders:
        idle.put(decoder)

    def one(path: Source) -> Entry | str:
        decoder = idle.get()
        try:
            return _prepared(path, scaled, decoder)
        finally:
            idle.put(decoder)

    threads = ThreadPoolExecutor(count)
    try:
        futures = [threads.submit(one, path) for path in paths]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            if progress:
                progress(done, len(paths))
        return [future.result() for future in futures]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for decoder in decoders:
            decoder.stop()
        threads.shutdown()


def _prepared(path: Source, scaled: Scaled, decoder: "Decoder") -> Entry | str:
    try:
        digest = cache.digest_of(path)
    except OSError as error:
        return error.strerror or str(error)
    entry = cache.find(digest, scaled)
    if entry is None:
        refused = decoder.make(path, digest)
        if refused:
            return refused
        entry = cache.find(digest, scaled)
    return entry or f"its entry in the cache {scaled.root} is damaged right after it was written; check that disk"


class Decoder:
    """A decoding process, started when it is first needed and again after a file that ended it."""

    def __init__(self, scaled: Scaled) -> None:
        self.scaled = scaled
        self.process: subprocess.Popen[str] | None = None

    def make(self, path: Source, digest: str) -> str | None:
        """Decode a file into the cache; the reason if it cannot be."""
        member = [path.name, path.offset, path.size] if isinstance(path, Member) else None
        request = {"path": os.fspath(path.archive if isinstance(path, Member) else path), "member": member}
        process = self.process = self.process or self._start()
        began = time.monotonic()
        reply = _ask(process, request | {"digest": digest}, PATIENCE)
        if reply is None:
            self.process = None
            late = time.monotonic() - began >= PATIENCE
            return f"takes over {PATIENCE:g} s to decode" if late else f"ends its decoder (code {process.wait()})"
        if "errno" in reply:
            advice = f"cannot write the cache {self.scaled.root} ({reply['strerror']}); give data.cache another disk"
            raise OSError(reply["errno"], advice)
        return reply["refused"]

    def stop(self) -> None:
        if process := self.process:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        package = str(Path(filmgrain.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "filmgrain.data.decode"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C is the parent's to answer
        )
        settings = asdict(self.scaled) | {"root": os.fspath(self.scaled.root)}
        if _ask(process, settings, STARTUP) is None:
            raise RuntimeError(f"the decoding process ended at its start (code {process.wait()}); see its error above")
        return process


def _ask(process: subprocess.Popen[str], request: dict[str, Any], patience: float) -> dict[str, Any] | None:
    """The reply; None from a process that died, or took longer than `patience` seconds and was killed."""
    assert process.stdin and process.stdout
    overtime = Timer(patience, process.kill)
    overtime.start()
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        return None
    finally:
        overtime.cancel()
    return json.loads(line) if line else None
