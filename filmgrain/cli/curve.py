"""`filmgrain curve RUN`: the losses of a run as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from ..watching.history import series, smoothed
from .console import say
from .errors import Usage
from .flags import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve(
    run: RunFolder,
    out: Annotated[Path | None, Option(help="PNG to write.  [default: curve.png in the run]")] = None,
) -> None:
    """Draw a run's training loss, and its loss on held-out data by noise level. Needs the extra: filmgrain[plots]."""
    from ..files.fsio import read_jsonl

    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Usage('curves need matplotlib: pip install "filmgrain[plots]"') from None
    rows = read_jsonl(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else []
    if not any("loss" in row for row in rows):
        raise Usage(f"{run} has no figures yet: its metrics.jsonl is missing or empty")
    figure = Figure(figsize=(7, 4), layout="constrained")
    draw(figure.subplots(), rows)
    out = out or run / "curve.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)
    say(str(out))


def draw(axes: "Axes", rows: list[dict[str, Any]]) -> None:
    steps, losses = series(rows, "loss")
    axes.plot(steps, losses, color="0.8", linewidth=0.8)
    axes.plot(steps, smoothed(losses), color="black", label="training")
    for name in sorted({key for row in rows for key in row if key.startswith("validation/loss")}):
        label = name.removeprefix("validation/loss").strip()
        style = {"alpha": 0.6, "linewidth": 1} if label else {"linewidth": 2}
        axes.plot(*series(rows, name), marker=".", label=f"held out {label or '(mean)'}", **style)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend(fontsize="small")
