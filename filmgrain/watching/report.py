"""A run as one HTML page that needs nothing else: no network, no scripts, all curves and pictures inside."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from .history import LEVEL, History, duration, one_line, smoothed
from .pictures import data_uri
from .svg import Line, chart

PREVIEWS = 8  # of which the page shows a picture each: the first, the last, and between them evenly
PICTURE, MOVING = 400_000, 2_000_000  # bytes, of a picture and of the last preview that moves
ROWS = 50  # of a table; the rest is counted
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the browser itself fetches and runs nothing
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 800px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; } td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top; }
svg, img { max-width: 100%; height: auto; } svg { display: block; margin: 1em 0; } figure { margin: 1em 0; }
figcaption { color: #666; font-size: .9em; }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: .85em; }
"""


def page(history: History, *, findings: Sequence[str] = (), version: str = "", now: float | None = None) -> str:
    """findings: lines of what is to be looked at. now: seconds of the clock, by default that of the machine."""
    title = escape(f"filmgrain: {one_line(history.folder.absolute().name)}")
    when = (datetime.now(UTC) if now is None else datetime.fromtimestamp(now, UTC)).strftime("%Y-%m-%d %H:%M UTC")
    sections = [
        ("State", _table(_state(history, now))),
        ("To look at", _list(findings)),
        ("Losses", _losses(history)),
        ("Training", _training(history)),
        ("Previews", _previews(history)),
        ("Evaluation", _evaluation(history.folder / "evaluation.json")),
        ("Data", _data(history)),
        ("Events", _events(history)),
        ("Recipe", _recipe(history.folder / "recipe.toml")),
    ]
    body = "\n".join(f"<h2>{name}</h2>\n{content}" for name, content in sections if content)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}\n"
        f"<p>Made on {when} by filmgrain {escape(version)}.</p>\n</body></html>\n"
    )


def _state(history: History, now: float | None) -> dict[str, object]:
    of = f" of {history.steps:,}" if history.steps else ""
    rows: dict[str, object] = {"run": history.folder.absolute(), "step": f"{history.step:,}{of}"}
    if history.finished:
        rows["state"] = "finished"
    else:
        silence = duration(history.silence(now) or 0.0)
        rows["state"] = f"last row {silence} before this page" if history.rows else "no row yet"
    for name, key in (("training loss", "loss"), ("held-out loss", "validation/loss")):
        steps, values = history.series(key)
        if values:
            least = min(range(len(values)), key=lambda i: (math.isnan(values[i]), values[i]))
            rows[name] = f"{values[-1]:.4f}; least {values[least]:.4f} at step {steps[least]:,}"
    if history.speed:
        rows["speed"] = f"{history.speed:.2f} steps a second"
    memory = history.series("memory_gb")[1]
    if memory:
        rows["memory"] = f"{max(memory):.1f} GB at most"
    if skipped := history.last("skipped"):
        rows["skipped steps"] = f"{skipped:,.0f}"
    return rows


def _losses(history: History) -> str:
    steps, losses = history.series("loss")
    lines = [Line("", steps, losses, faint=True), Line("training", steps, smoothed(losses))]
    held_out = Line("held out, mean", *history.series("validation/loss"))
    levels = [Line(name.removeprefix(LEVEL), *history.series(name)) for name in history.levels]
    return chart([*lines, held_out], "Loss over steps", log=True) + chart(
        levels, "Held-out loss by noise level, t = 0 being data", log=True
    )


def _training(history: History) -> str:
    titles = {
        "gradient_norm": "Norm of the gradient, before it is clipped",
        "lr": "Learning rate",
        "steps_per_second": "Steps a second",
        "memory_gb": "Memory, the most so far, GB",
    }
    known = {"loss", "skipped", "step", "time", *titles}
    others = dict.fromkeys(key for row in history.figures for key in row if key not in known and "/" not in key)
    drawn = [*titles.items(), *((key, key) for key in list(others)[:8])]
    return "".join(chart([Line("", *history.series(key))], title, log=key == "gradient_norm") for key, title in drawn)


def _previews(history: History) -> str:
    steps = list(history.previews)
    if not steps:
        return ""
    shown = sorted({steps[round(i * (len(steps) - 1) / max(1, PREVIEWS - 1))] for i in range(PREVIEWS)})
    figures = []
    for step in shown:
        paths = sorted(history.previews[step], key=lambda path: path.suffix != ".png")  # a film strip is a still
        figures += [_figure(paths[0], f"step {step:,}", PICTURE)]
    moving = [path for path in history.previews[steps[-1]] if path.suffix == ".gif"]
    figures += [_figure(path, f"step {steps[-1]:,}, moving", MOVING) for path in moving]
    return "\n".join(figures)


def _figure(path: Path, caption: str, most: int) -> str:
    uri = data_uri(path, most)
    image = f'<img src="{uri}" alt="{escape(caption)}">' if uri else f"({escape(path.name)} is no picture)"
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _evaluation(path: Path) -> str:
    """Each number with its interval, as they stand in the file of `filmgrain evaluate`."""
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        rows = {str(name): _number(row) for name, row in parts["numbers"].items()}
        how = {str(key): value for key, value in parts["protocol"].items()}
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"<p>{escape(f'{path.name} cannot be read: {one_line(error)}')}</p>"
    return _table(rows) + "<p>measured so:</p>" + _table({key: one_line(value)[:200] for key, value in how.items()})


def _number(row: dict[str, Any]) -> str:
    value, low, high = ("not known" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "low", "high"))
    return f"{value} (95 %: {low} to {high})" if row["halves"] else value


def _data(history: History) -> str:
    parts = []
    told = history.folder / "data.txt"
    if told.is_file():
        parts.append(_list(one_line(line) for line in told.read_text("utf-8", "replace").splitlines()[:ROWS]))
    elif isinstance(data := history.recipe.get("data"), dict):
        parts.append(_table({key: value for key, value in data.items()}))
    refused = history.quarantined
    if refused:
        parts.append(f"<p>{len(refused):,} files were refused:</p>" + _table(dict(refused[:ROWS])) + _rest(refused))
    return "".join(parts)


def _events(history: History) -> str:
    events = history.events
    if not events:
        return "<p>None: no step was skipped, and nothing failed.</p>" if history.rows else ""
    counts = ", ".join(f"{count:,} {name}" for name, count in Counter(event.name for event in events).items())
    rows = [(f"step {event.step:,}", event.name, event.text[:500]) for event in events[-ROWS:]]
    return f"<p>{escape(counts)}</p>" + _rows(rows) + _rest(events)


def _recipe(path: Path) -> str:
    if not path.is_file():
        return ""
    return f"<pre>{escape(path.read_text(encoding='utf-8', errors='replace'))}</pre>"


def _table(rows: dict[str, Any]) -> str:
    return _rows([(name, str(value)) for name, value in rows.items()])


def _rows(rows: Iterable[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>" if lines else ""


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<ul>\n{items}</ul>" if items else ""


def _rest(rows: Sequence[object]) -> str:
    return f"<p>... and {len(rows) - ROWS:,} more</p>" if len(rows) > ROWS else ""
