"""Forks the members of a world, which join over a free port of this machine, and waits for them no longer than given.

A process of its own does this (trials.py): torch is imported once, and a fork of a process without threads is safe.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filmgrain.training.world import World, joined

Member = Callable[[World], Any]


def run(folder: Path, size: int, member: Member, *, patience: float = 100.0, limit: float = 120.0) -> dict[str, Any]:
    """What each member returned, how each ended, and what each said: lists by rank."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(folder, rank, size, port, member, patience) for rank in range(size)]
    deadline, codes = time.monotonic() + limit, dict.fromkeys(children)
    while None in codes.values() and time.monotonic() < deadline:
        for child in (child for child, code in codes.items() if code is None):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                codes[child] = os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    late = [child for child, code in codes.items() if code is None]
    for child in late:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    said = [(folder / f"said-{rank}.txt").read_text() for rank in range(size)]
    paths = [folder / f"result-{rank}.json" for rank in range(size)]
    found = [json.loads(path.read_text()) if path.exists() else None for path in paths]
    return {"codes": list(codes.values()), "said": said, "results": found, "late": len(late)}


def _fork(folder: Path, rank: int, size: int, port: int, member: Member, patience: float) -> int:
    child = os.fork()
    if child:
        return child
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    os.environ["FILMGRAIN_PATIENCE"] = str(patience)
    said = os.open(folder / f"said-{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 70
    try:
        (folder / f"result-{rank}.json").unlink(missing_ok=True)
        with joined() as world:
            result = member(world)
        (folder / f"result-{rank}.json").write_text(json.dumps(result))
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        code = getattr(error, "exit_code", 70)
    finally:
        sys.stdout.flush()
        os._exit(code)
