"""A checkpoint that every process writes its own part of, and any number of processes reads again.

shard-0000R-model-00001-of-00001.safetensors   the parts of process R - 1, as torch.distributed.checkpoint writes them
state.json, recipe.toml, manifest.json         as in any checkpoint

Of PyTorch's storage formats this one keeps the place of each part in the header of its own file, as JSON. The usual one
has an index that is pickled; see docs/decisions/020.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from ..files import fsio, tensors
from .world import World

PATTERN = "shard-*.safetensors"
SCALAR = "[]"  # end of the name of a scalar, which is kept as a row of one: it has no part that could be asked for


def save(folder: Path, everything: dict[str, Tensor], finish: Callable[[Path], None], world: World) -> None:
    """Every process calls this with its parts (DTensor) and copies; `finish` adds the first one's own files.

    Raises OSError in every process if one of them could not write.
    """
    with ExitStack() as stack:
        staging: list[str] = []
        world.first(lambda: staging.append(str(stack.enter_context(fsio.staged(folder)))))
        writer = dcp.HuggingFaceStorageWriter(world.share("".join(staging)), save_distributed=True)
        try:
            dcp.save(_rows(everything), storage_writer=writer)
        except CheckpointException as error:
            raise OSError(f"{folder} could not be written: {_reasons(error)}") from None

        def complete() -> None:
            finish(Path(staging[0]))
            stack.close()  # synced, listed in the manifest, and renamed

        world.first(complete)


def fill(folder: Path, everything: dict[str, Tensor]) -> None:
    """Reads into tensors that are there already, in parts or whole; every process calls this with the same names."""
    try:
        dcp.load(_rows(everything), storage_reader=dcp.HuggingFaceStorageReader(str(folder)))
    except CheckpointException as error:
        raise OSError(f"{folder} could not be read: {_reasons(error)}") from None


def load(folder: Path, beginning: str) -> dict[str, Tensor]:
    """The whole tensors whose names begin so, without that beginning; read by this process alone."""
    found = {name: about for name, about in _metadata(folder).items() if name.startswith(beginning)}
    whole = {name: torch.empty(about.size, dtype=about.properties.dtype) for name, about in found.items()}
    if whole:
        dcp.load(whole, storage_reader=dcp.HuggingFaceStorageReader(str(folder)), no_dist=True)
    scalars = {name.removesuffix(SCALAR): t.reshape(()) for name, t in whole.items() if name.endswith(SCALAR)}
    others = {name: tensor for name, tensor in whole.items() if not name.endswith(SCALAR)}
    return {name.removeprefix(beginning): tensor for name, tensor in (others | scalars).items()}


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every tensor's name and whole shape; raises `tensors.Malformed`."""
    found = _metadata(folder)
    return {name.removesuffix(SCALAR): () if name.endswith(SCALAR) else tuple(t.size) for name, t in found.items()}


def _rows(everything: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scalars as rows of one, which share their memory."""
    return {
        f"{name}{SCALAR}" if tensor.ndim == 0 else name: tensor.reshape(1) if tensor.ndim == 0 else tensor
        for name, tensor in everything.items()
    }


def _metadata(folder: Path) -> dict[str, TensorStorageMetadata]:
    """What the headers say, once each is sound and the parts of each tensor make up its whole."""
    for file in sorted(folder.glob(PATTERN)):
        tensors.header(file)
    found = dcp.HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    for name, about in found.items():
        assert isinstance(about, TensorStorageMetadata)
        if sum(math.prod(part.sizes) for part in about.chunks) != math.prod(about.size):
            raise tensors.Malformed(f"{folder}: the parts of {name} do not make up a tensor of {tuple(about.size)}")
    return found  # type: ignore[return-value]


def _reasons(error: CheckpointException) -> str:
    return "; ".join(f"rank {rank}: {reason}" for rank, (reason, _) in sorted(error.failures.items()))
