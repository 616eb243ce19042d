"""Blocks that backward computes again, instead of keeping what they computed (Chen et al. 2016, sec. 3)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def forgetful(block: nn.Module) -> Callable[..., Any]:
    """The block's forward pass, of which its inputs alone are kept.

    Dropout draws the same again, and a BatchNorm counts its batch once: weights and gradients are those of the block
    as it is, to the last bit where its kernels are deterministic.
    """
    return partial(_forget, block, block.forward)


def _forget(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    if any(True for _ in block.buffers()):
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _unmoved(block)))
    return checkpoint(forward, *inputs, use_reentrant=False)


@contextmanager
def _unmoved(block: nn.Module) -> Iterator[None]:
    """What runs inside leaves the block's buffers as they were."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
