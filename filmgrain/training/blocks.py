"""What a run does to the blocks of its network: compile them, and let backward compute them again."""

import logging
from collections.abc import Iterator

import torch
from torch import nn

from .config import Config
from .recompute import forgetful

VARIANTS = 256  # of one function that may be compiled: each block has sizes of its own, and the usual limit is 8


def prepare(model: nn.Module, config: Config, device: torch.device) -> list[str]:
    """Does as `train.compile` and `train.recompute` ask, and undoes what a former run did; returns what is to be said.

    The model names its blocks by `levels()`, the finest level first; raises ValueError if they are needed and it
    does not. Parameters keep their names.
    """
    levels: list[list[nn.Module]] = getattr(model, "levels", list)()
    for block in _each(levels):
        vars(block).pop("forward", None)
        block._compiled_call_impl = None
    if not (config.recompute or config.compile):
        return []
    if not any(levels):
        raise ValueError("the network names no blocks by level; use train.recompute=0 and train.compile=false")
    for block in _each(levels if config.recompute < 0 else levels[: config.recompute]):
        block.forward = forgetful(block)
    if not config.compile:
        return []
    if reason := _why_not(device):
        return [f"train.compile=true is passed over, since nothing can be compiled here: {reason}"]
    torch._dynamo.config.recompile_limit = max(VARIANTS, torch._dynamo.config.recompile_limit)
    for block in _each(levels):
        block.compile(dynamic=False)
    return ["train.compile=true: the first steps take minutes, while blocks are compiled"]


def _each(levels: list[list[nn.Module]]) -> Iterator[nn.Module]:
    return (block for level in levels for block in level)


def _why_not(device: torch.device) -> str:
    """Why nothing can be compiled for a device; empty where it can be."""
    try:
        torch.compile(torch.nn.functional.silu, dynamic=False)(torch.ones(8, device=device))
    except Exception as error:  # of any kind: no compiler, no headers, a Python or a system that is not served
        logging.debug("torch.compile", exc_info=error)
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""
