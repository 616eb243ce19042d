"""The sides of a comparison: whose code, in which precision, under which settings of the process."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side. Each has a process of its own, since the allocator and the kernels are settings of a process."""

    ours: bool
    keeps: bool = True  # freed memory, by filmgrain's setting of the C library
    precision: str = "float32"  # or "bfloat16", by autocast
    plain: bool = False  # without filmgrain's own kernels
    training: dict[str, Any] = field(default_factory=dict)  # of the recipe's [train]


SIDES = {
    "peer": Side(ours=False, keeps=False),
    "peer, our allocator": Side(ours=False),
    "float32": Side(ours=True),
    "bfloat16": Side(ours=True, precision="bfloat16"),
    "float32, plain": Side(ours=True, plain=True),
    "bfloat16, plain": Side(ours=True, precision="bfloat16", plain=True),
    "float32, recomputed": Side(ours=True, training={"recompute": 1}),
    "bfloat16, recomputed": Side(ours=True, precision="bfloat16", training={"recompute": 1}),
}
USUAL = ("peer", "peer, our allocator", "float32", "bfloat16")
RECOMPUTED = ("float32", "float32, recomputed", "bfloat16", "bfloat16, recomputed")
