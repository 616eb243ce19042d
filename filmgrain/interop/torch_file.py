"""Others' `.pt` files, which are pickles, read without running what they hold: the one module that calls torch.load.

A child process with limits on memory, time and what it writes does the reading, with weights_only=True, so that the
pickle may make tensors, containers and numbers only. It hands them back as a safetensors file whose metadata holds the
containers as JSON.

    python -m filmgrain.interop.torch_file SOURCE.pt TARGET.safetensors
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import tensors
from . import Refused

TREE = "tree"  # the metadata that holds the containers
COPIES = 4  # bytes of all tensors over bytes of the file; 1 for what torch.save wrote, more if tensors overlap
BASE = 1 << 30  # bytes of memory granted besides what the file's size calls for
SECONDS, PACE = 60, 20e6  # of processor time, and bytes read in one more
PATIENCE = 5  # seconds on the clock for one of processor time: other processes want the machine too


def load(path: Path) -> Any:
    """The file's dicts (by str), lists, numbers, text, None and tensors, on the CPU; raises `Refused`."""
    if not path.is_file():
        raise Refused(f"{path} is not a file; give the checkpoint that torch.save wrote")
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10):
        raise Refused(
            f"{path} is not read by torch {torch.__version__}, whose safe reading has known holes; use 2.10 or later"
        )
    with tempfile.TemporaryDirectory(prefix="filmgrain-", ignore_cleanup_errors=True) as folder:
        target = Path(folder, "contents.safetensors")
        _run_child(path, target)
        found = tensors.load(target)
        try:
            return _decode(json.loads(tensors.header(target).metadata[TREE]), found)
        except RecursionError:
            raise Refused(f"{path} was refused: its containers are nested hundreds deep") from None


def _run_child(path: Path, target: Path) -> None:
    package = Path(__file__).parents[2]  # so that the child finds this package wherever it was imported from
    search = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", __name__, str(path.resolve()), str(target)]
    seconds = PATIENCE * _seconds(path)
    try:
        child = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": search}, timeout=seconds, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"{path} was refused: it was not read within {seconds:.0f} seconds") from None
    if child.returncode == 1 and child.stdout:
        raise Refused(f"{path} was refused: {child.stdout.splitlines()[-1]}")
    if child.returncode != 0:
        raise Refused(f"{path} was refused: the process that read it ended with status {child.returncode}")


def _seconds(path: Path) -> float:
    return SECONDS + path.stat().st_size / PACE


def _child(source: Path, target: Path) -> None:
    """Reads and writes under limits; leaves with status 1 and the reason on the output where it cannot."""
    size = source.stat().st_size
    _limit(size, _seconds(source))
    torch.set_num_threads(1)  # each thread's stack counts as memory
    try:
        contents = torch.load(source, map_location="cpu", weights_only=True)
        found: list[Tensor] = []
        tree = _encode(contents, found)
        if (total := sum(tensor.nbytes for tensor in found)) > COPIES * size + BASE:
            raise ValueError(f"its tensors claim {total} bytes; the file has {size}")
        tensors.save(target, {str(i): tensor for i, tensor in enumerate(found)}, {TREE: json.dumps(tree)})
    except Exception as error:  # whatever a damaged or hostile file provokes is a reason to refuse it
        print(_reason(error))
        sys.exit(1)


def _limit(size: int, seconds: float) -> None:
    """Limits this process, where the system can, to what a file of `size` bytes calls for."""
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_CPU: int(seconds), resource.RLIMIT_FSIZE: COPIES * size + BASE}
    with contextlib.suppress(OSError):  # the memory that Python and torch take by themselves is known on Linux only
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + 2 * COPIES * size + BASE
    for limit, value in limits.items():
        with contextlib.suppress(OSError, ValueError):  # refused where a lower one is set already
            resource.setrlimit(limit, (value, value))


def _reason(error: Exception) -> str:
    """One line of an error of torch.load, which has several and ends in advice to switch the safe reading off."""
    text = str(error)
    if asked := re.search(r"GLOBAL (\S+)", text):
        return f"its pickle asks for {asked[1]}, and a checkpoint needs tensors and numbers only"
    if "TorchScript" in text:
        return "it is a TorchScript archive, a program; where you trust it, save its state_dict() and give that"
    if "PytorchStreamReader" in text or "inline_container" in text or isinstance(error, EOFError):
        return "it is cut short, damaged, or another kind of archive"
    if "WeightsUnpickler" in text or "Invalid magic number" in text or isinstance(error, LookupError) or not text:
        return "it is not a file that torch.save wrote"
    return f"{type(error).__name__}: {text.splitlines()[0]}"


def _encode(node: Any, found: list[Tensor]) -> Any:
    """The node as JSON, its tensors collected in `found` and replaced by their place there."""
    match node:
        case Tensor():
            found.append(node)
            return {"tensor": len(found) - 1}
        case dict():
            return {"dict": {str(key): _encode(value, found) for key, value in node.items()}}
        case list() | tuple():
            return {"list": [_encode(value, found) for value in node]}
        case None | bool() | int() | float() | str():
            return {"value": node}
    raise TypeError(f"it holds a {type(node).__name__}, and a checkpoint needs tensors and numbers only")


def _decode(node: Any, found: dict[str, Tensor]) -> Any:
    ((kind, value),) = node.items()
    match kind:
        case "tensor":
            return found[str(value)]
        case "dict":
            return {key: _decode(inner, found) for key, inner in value.items()}
        case "list":
            return [_decode(inner, found) for inner in value]
    return value


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]))
