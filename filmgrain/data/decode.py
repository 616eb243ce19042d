"""The decoding process: `python -m filmgrain.data.decode`, asked by `prepare` over its standard input and output.

Decoders are C code fed with files from anywhere. In a process of its own one may crash, hang or eat memory, and what is
lost is one file. A line of JSON in, a line out:

    {"root": ..., "height": ..., "width": ..., "background": [...]}      once, answered by {}
    {"path": ..., "member": null, "digest": ...}                         answered by {"refused": reason or null}
    {"path": of a tar, "member": [name, offset, size], "digest": ...}    the same
    an error of the cache's own disk                                     answered by {"errno": ..., "strerror": ...}
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..files.member import Member
from ..files.video import Unreadable
from .cache import Scaled, make


def answer(request: dict[str, Any], scaled: Scaled) -> dict[str, Any]:
    path = Path(request["path"])
    try:
        make(Member(path, *request["member"]) if request["member"] else path, request["digest"], scaled)
    except OSError as error:
        return {"errno": error.errno, "strerror": error.strerror}
    except Unreadable as error:
        return {"refused": error.reason}
    except Exception as error:  # MemoryError, and what no one thought of: a bad file never stops a run
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"refused": None}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not pass for a reply
    settings = json.loads(sys.stdin.readline())
    scaled = Scaled(**settings | {"root": Path(settings["root"]), "background": tuple(settings["background"])})
    try:
        print("{}", file=replies, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line), scaled)), file=replies, flush=True)
    except BrokenPipeError:  # the parent was killed
        os._exit(0)  # Python's own end would try the pipe again, and complain


if __name__ == "__main__":
    main()
