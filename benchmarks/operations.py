"""Where the time goes, by kind of operation, by PyTorch's own profiler.

Of each operation its own time, without that of the operations that it calls. All that an optimiser calls is the
optimiser's.
"""

from collections.abc import Callable
from typing import Any

import torch

KINDS = {  # the first of them of which a part is in an operation's name
    "optimiser": ("optimizer.", "fused_adam", "_foreach_"),
    "attention": ("attention", "softmax", "rotate", "rotary"),
    "convolution, backward": ("convolution_backward", "convolutionbackward", "conv_backward"),
    "convolution, forward": ("conv",),
    "products": ("mm", "linear", "matmul", "einsum", "dot"),
    "norms and activations": ("norm", "rms", "affine", "silu", "gelu", "sigmoid", "var_mean", "film", "rsqrt"),
    "copies and casts": ("copy", "clone", "contiguous", "cat", "to_copy", "fill", "zero", "stack", "reorder", "empty"),
}
OTHER = "other arithmetic and overhead"


def kind(name: str, *callers: str) -> str:
    """Of an operation; what an optimiser calls, or an operation of ours, is of its caller's kind."""
    for caller in callers:
        if caller.startswith("Optimizer."):
            return "optimiser"
        if caller.startswith("filmgrain::"):
            return kind(caller)
    return next((found for found, parts in KINDS.items() if any(part in name.lower() for part in parts)), OTHER)


def profiled(run: Callable[[], object]) -> dict[str, float]:
    """Seconds of each kind, the longest first."""
    run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    totals: dict[str, float] = {}
    for event in profile.events():
        found = kind(event.name, *_callers(event))
        totals[found] = totals.get(found, 0.0) + event.self_cpu_time_total / 1e6  # from microseconds
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _callers(event: Any) -> list[str]:
    names = []
    while (event := event.cpu_parent) is not None:
        names.append(event.name)
    return names
