"""Distance against minutes of training, from evaluations that `filmgrain evaluate --out` wrote; refused if unlike.

python benchmarks/minutes.py fashion-minutes.png ours:2=ours2.json ours:5=ours5.json peer:2=peer2.json ...
"""

import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot

from filmgrain.evaluate.protocol import differences, load

matplotlib.use("Agg")


def main(picture: str, *points: str) -> None:
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    protocol: dict = {}
    for point in points:
        line, _, rest = point.partition(":")
        minutes, _, path = rest.partition("=")
        found = load(Path(path))
        of_it = {key: value for key, value in found.protocol.items() if key != "samples"}
        if unlike := differences(protocol or of_it, of_it):
            raise SystemExit(f"{path}: {'; '.join(unlike.values())}")
        protocol = of_it
        name = next(name for name in found.numbers if name.startswith(("fd[", "fvd[")))
        low, high = found.numbers[name].interval
        lines.setdefault(line, []).append((float(minutes), found.numbers[name].value, low, high))
    figure, axis = pyplot.subplots(figsize=(6, 4), constrained_layout=True)
    for line, rows in lines.items():
        x, y, low, high = zip(*sorted(rows), strict=True)
        spread = [[a - b for a, b in zip(y, low, strict=True)], [b - a for a, b in zip(y, high, strict=True)]]
        axis.errorbar(x, y, yerr=spread, marker="o", markersize=3, capsize=2, linewidth=1, label=line)
        print(f"| {line} |", " | ".join(f"{a:g} min: {b:.3g}" for a, b in zip(x, y, strict=True)), "|")
    axis.set(xlabel="minutes of training", ylabel=name, yscale="log")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
