"""Looking at a model in training without touching it: averaged weights, evaluation mode, no gradients."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from .ema import EMA
from .place import Place


@contextmanager
def observing(
    model: nn.Module, ema: EMA, place: Place, whole: AbstractContextManager[None] | None = None
) -> Iterator[None]:
    """What is drawn or raised inside leaves no trace: weights, modes and buffers return bit for bit.

    whole: of an engine, where weights are gathered. The random state needs no care, since every step seeds it anew.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    compiled = [(module, module._compiled_call_impl) for module in model.modules() if module._compiled_call_impl]
    for module, _ in compiled:  # batches of other sizes, each of which would be compiled anew
        module._compiled_call_impl = None
    model.eval()
    try:
        with ema.swapped(), whole or nullcontext(), torch.no_grad(), place.autocast():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for module, call in compiled:
            module._compiled_call_impl = call
        for buffer, value in buffers:
            buffer.copy_(value)
