"""The decoding process: what it does with what it is asked for, over two pipes, by `decoder`.

Decoders are C code fed with files from anywhere. In a process of its own one may crash, hang or eat memory, and what is
lost is one file. `serve` says {} when it is ready; then a line of JSON in, a line out:

    {"path": ..., "member": null}                            a file, or a folder of frames
    {"path": of a tar, "member": [name, offset, size, digest]}
    {"entry": {...}}                                         it is in the cache now: what is said of it there
    {"refused": reason}                                      it cannot be
    {"errno": ..., "strerror": ...}                          an error of the cache's own disk

`python -m filmgrain.data.decode` is asked over standard input and output, with the settings in a first line.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO

from ..files.member import Member
from ..files.video import Unreadable
from . import cache
from .cache import Scaled, Source, make


def answer(request: dict[str, Any], scaled: Scaled) -> dict[str, Any]:
    path = Path(request["path"])
    source: Source = Member(path, *request["member"]) if request["member"] else path
    try:
        digest = cache.digest_of(source)
    except OSError as error:
        return {"refused": error.strerror or str(error)}
    try:
        entry = cache.find(digest, scaled) or make(source, digest, scaled)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror}
    except Unreadable as error:
        return {"refused": error.reason}
    except Exception as error:  # MemoryError, and what no one thought of: a bad file never stops a run
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"entry": {key: value for key, value in vars(entry).items() if key != "path"}}


def serve(scaled: Scaled, requests: TextIO, replies: TextIO) -> NoReturn:
    """A decoding process's life, until the pipe that asks is closed, or the one that is answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        print("{}", file=replies, flush=True)
        for line in requests:
            print(json.dumps(answer(json.loads(line), scaled)), file=replies, flush=True)
    except BrokenPipeError:  # the parent was killed
        pass
    os._exit(0)  # Python's own end would try the pipe again, and complain; and a forked one's is not its own


def forked(scaled: Scaled, requests: int, replies: int) -> NoReturn:
    """The life of a process that was forked, asked over pipes of these numbers.

    Nothing else that its parent has open stays open in it, the lock of a run least of all.
    """
    gc.freeze()  # what the parent left behind is not this one's to close
    first, last = sorted((requests, replies))
    os.closerange(3, first)
    os.closerange(first + 1, last)
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
    os.dup2(2, 1)  # what a library prints is none of the parent's output
    serve(scaled, os.fdopen(requests), os.fdopen(replies, "w"))


def main() -> NoReturn:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not pass for a reply
    settings = json.loads(sys.stdin.readline())
    scaled = Scaled(**settings | {"root": Path(settings["root"]), "background": tuple(settings["background"])})
    serve(scaled, sys.stdin, replies)


if __name__ == "__main__":
    main()
