"""Tensors on disk: safetensors files, whose header is checked before anything is allocated.

A file is an 8-byte little-endian header length, a JSON header {name: {dtype, shape, data_offsets}}, and the data, which
the offsets must tile without gap or overlap (https://huggingface.co/docs/safetensors).
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

HEADER_LIMIT = 8_000_000  # bytes, some 60,000 tensors; the format itself allows 100 MB
RANK_LIMIT = 16  # dimensions of one tensor
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip


class Malformed(Exception):
    """A file is not safetensors, or its header lies: one line with the file and the fault."""


class Entry(NamedTuple):
    dtype: str  # of BYTES
    shape: tuple[int, ...]
    start: int  # byte in the data
    end: int


class Header(NamedTuple):
    tensors: dict[str, Entry]
    metadata: dict[str, str]


def save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Writes tensors of any device. Tensors that share memory are written once each."""
    whole: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        whole[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    try:
        safetensors.torch.save_file(whole, path, metadata)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written ({error}); make room on that disk, or write to another") from error
    path.chmod(path.parent.stat().st_mode & 0o666)  # the library makes files that only their owner may read


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Every tensor of the file by name; raises `Malformed`."""
    header(path)
    try:
        return safetensors.torch.load_file(path, device=str(device))
    except SafetensorError as error:
        raise Malformed(f"{path} is not a sound safetensors file: {error}") from None


def header(path: Path) -> Header:
    """What the file holds, without reading the data; raises `Malformed` where it contradicts itself or the file."""
    try:
        return _parse(path)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise Malformed(f"{path} is not a sound safetensors file: {error}") from None


def _parse(path: Path) -> Header:
    if not path.is_file():
        raise ValueError("no such regular file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_LIMIT):
            raise ValueError(f"its header claims {length} bytes; the file has {size} and the limit is {HEADER_LIMIT}")
        raw = json.loads(file.read(length), object_pairs_hook=_unique)
    if not isinstance(raw, dict):
        raise ValueError("its header is not a table")
    metadata = raw.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata holds something other than text")
    entries = {name: _entry(name, fields) for name, fields in raw.items()}
    spans = sorted((entry.start, entry.end) for entry in entries.values())
    for (_, end), (start, _) in pairwise([(0, 0), *spans, (size - 8 - length, 0)]):
        if start != end:
            raise ValueError(f"its data offsets leave a gap or overlap: byte {end} is followed by byte {start}")
    return Header(entries, metadata)


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    dtype, shape, (start, end) = fields["dtype"], fields["shape"], fields["data_offsets"]
    if dtype not in BYTES:
        raise ValueError(f"tensor {name[:80]!r} has dtype {str(dtype)[:20]!r}; known are {', '.join(BYTES)}")
    numbers = [start, end, *shape]
    if len(shape) > RANK_LIMIT or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
        raise ValueError(f"tensor {name[:80]!r} has an impossible shape or offset")
    if end - start != math.prod(shape) * BYTES[dtype]:
        raise ValueError(
            f"tensor {name[:80]!r} has {end - start} bytes; its shape and dtype need {math.prod(shape) * BYTES[dtype]}"
        )
    return Entry(dtype, tuple(shape), start, end)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("its header names something twice")
    return table
