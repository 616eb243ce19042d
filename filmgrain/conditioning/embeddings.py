"""Features of captions that have been computed once: in memory, and on disk for the next run.

An entry's name is the sha256 of its caption, in a folder named after the encoder's. The folder is in the user's cache,
and may be deleted at any time.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from ..files import tensors

LARGEST = 4 << 30  # bytes on disk, of all encoders; the least recently used go first
HELD = 256 << 20  # bytes in memory, of one encoder
LOOKED = 256  # entries written between two looks at the size of the whole


def root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "filmgrain" / "text"


class Embeddings:
    """What `compute(caption)` gives, (n, d) in float16, each computed once. encoder: the name of its folder."""

    def __init__(self, encoder: str, compute: Callable[[str], Tensor]):
        self.folder, self.compute = root() / encoder, compute
        self.held: OrderedDict[str, Tensor] = OrderedDict()
        self.bytes = self.written = 0

    def __call__(self, caption: str) -> Tensor:
        key = hashlib.sha256(caption.encode("utf-8", "surrogatepass")).hexdigest()
        if key in self.held:
            self.held.move_to_end(key)
            return self.held[key]
        path = self.folder / key[:2] / f"{key}.safetensors"
        found = _read(path)
        if found is None:
            found = self.compute(caption)
            with suppress(OSError):  # without room on the disk it is computed again, by the next run
                self._write(path, found)
        self._hold(key, found)
        return found

    def _hold(self, key: str, found: Tensor) -> None:
        self.held[key] = found
        self.bytes += found.nbytes
        while self.bytes > HELD and len(self.held) > 1:
            self.bytes -= self.held.popitem(last=False)[1].nbytes

    def _write(self, path: Path, found: Tensor) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            tensors.save(part, {"tokens": found})
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if self.written % LOOKED == 0:
            trim(root(), LARGEST)
        self.written += 1


def trim(folder: Path, largest: int) -> None:
    """Deletes the entries that were least recently used until a folder holds at most `largest` bytes."""
    kept = []
    for path in folder.glob("*/*/*.safetensors"):
        with suppress(OSError):  # another process may have deleted it
            status = path.stat()
            kept.append((status.st_mtime, status.st_size, path))
    excess = sum(size for _, size, _ in kept) - largest
    for _, size, path in sorted(kept):
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def _read(path: Path) -> Tensor | None:
    """An entry, if it is there and whole."""
    try:
        found = tensors.load(path)["tokens"]
        os.utime(path)  # now it is used
        return found if found.dtype == torch.float16 and found.ndim == 2 and len(found) else None
    except (OSError, tensors.Malformed, KeyError):
        return None
