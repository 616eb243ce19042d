"""What this machine can do at best: 3x3 convolutions and matrix products, in both precisions.

python benchmarks/limits.py THREADS        GFLOP/s as JSON: {"conv float32": 225.1, ...}
"""

import json
import statistics
import sys
import time
from collections.abc import Callable

from filmgrain import keep_freed_memory

keep_freed_memory()  # before torch allocates

import torch  # noqa: E402

CHANNELS, SIDE, BATCH, SQUARE, REPEATS = 128, 64, 8, 2048, 9


def convolution(dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    layer = (
        torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False).to(dtype).to(memory_format=torch.channels_last)
    )
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE).to(dtype).to(memory_format=torch.channels_last)
    return lambda: layer(x), 2 * 9 * CHANNELS**2 * BATCH * SIDE**2


def product(dtype: torch.dtype) -> tuple[Callable[[], object], float]:
    a, b = (torch.randn(SQUARE, SQUARE).to(dtype) for _ in range(2))
    return lambda: a @ b, 2 * SQUARE**3


def rate(run: Callable[[], object], flops: float) -> float:
    """GFLOP/s, the median of some."""
    seconds = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return flops / statistics.median(seconds[2:]) / 1e9


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    probes = {"conv": convolution, "GEMM": product}
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    rates = {f"{name} {kind}": rate(*probe(dtype)) for name, probe in probes.items() for kind, dtype in types.items()}
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
