"""`filmgrain train --processes N`: torchrun's own agent watches N processes of this machine, and this one the agent."""

import logging
import os
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LOST

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

SAVING = "600"  # seconds that processes may take to save after a signal, before they are killed


def launch(arguments: list[str], run: Path, *, processes: int, restarts: int) -> int:
    """Runs `filmgrain train ARGUMENTS --run RUN` in each of the processes and returns the exit code.

    When one is lost, to a signal or to a connection, all begin again at the last checkpoint, `restarts` times at most.
    What would fail again is not tried again. Raises training.world.Lost.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import launch_agent

    from ..training.world import Lost

    _settle(processes)
    for left in reversed(range(restarts + 1)):
        resume = ["--resume"] if any(run.glob("checkpoints/step-*")) and "--resume" not in arguments else []
        command = ["-m", "filmgrain", "train", *arguments, "--run", str(run), *resume]
        with tempfile.TemporaryDirectory(prefix="filmgrain-") as folder:
            try:
                launch_agent(_config(processes, folder), sys.executable, command)
                return 0
            except SignalException as stopped:
                return 128 + stopped.sigval
            except ChildFailedError as failed:
                causes = failed.failures.items()
        rank, code = min((f.timestamp, f.exitcode in (LOST, -signal.SIGTERM), r, f.exitcode) for r, f in causes)[2:]
        if code > 0 and code != LOST:
            return code  # it has said why
        what = f"rank {rank} " + (f"was ended by {signal.Signals(-code).name}" if code < 0 else "has lost another")
        if not left:
            raise Lost(
                f"{what}; go on with --resume --run {run}" + " (SIGKILL: often for want of memory)" * (code == -9)
            )
        print(
            f"filmgrain: {what}; all start again from the last checkpoint ({left} times more at most)", file=sys.stderr
        )
    return 0


def _settle(processes: int) -> None:
    """Threads for each, time to save; and the agent's own account of it all to those who ask for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SAVING)
    if os.environ.get("FILMGRAIN_DEBUG", "0") in ("", "0"):
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("torch.distributed.elastic"):
                logging.getLogger(name).setLevel(logging.CRITICAL)


def _config(processes: int, folder: str) -> "LaunchConfig":
    """One node, which meets at a free port; what torchrun --standalone does."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=folder),
    )
