"""`filmgrain oracle`: samplers and guidance measured against data whose truth is known."""

import time
from pathlib import Path
from typing import Annotated

from typer import Option

from .console import progress, say
from .errors import Usage


def command(
    out: Annotated[Path, Option(help="Folder for the page and its pictures. A page there keeps its prose.")] = Path(
        "oracle"
    ),
    only: Annotated[str | None, Option(help="One study: orders, distance, conditional or curves.")] = None,
    seeds: Annotated[int, Option(help="Of every figure that has an interval.")] = 10,
    quick: Annotated[bool, Option("--quick", help="Few steps and samples: to see that it runs.")] = False,
) -> None:
    """Measure every sampler and guidance against exact answers, without training. Needs the extra: filmgrain[plots]."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Usage('the pictures need matplotlib: pip install "filmgrain[plots]"') from None
    import torch

    from ..oracle.page import PAGE, blank, fill
    from ..oracle.report import STUDIES, report
    from ..rooms import nearest

    if only is not None and only not in STUDIES:
        raise Usage(f"--only {only} is no study{nearest(only, list(STUDIES))}")
    if seeds < 2:
        raise Usage(f"--seeds {seeds} gives no interval; use 2 or more")
    torch.set_num_threads(1)  # the tensors are small: a second thread waits more than it works
    page, parts, began = out / PAGE, {}, time.monotonic()
    for name in [only] if only else STUDIES:
        with progress(name) as bar:
            parts[name] = report(name, out / "pictures", seeds=seeds, quick=quick, progress=bar)
    text = page.read_text(encoding="utf-8") if page.is_file() else blank(list(STUDIES))
    page.write_text(fill(text, parts), encoding="utf-8")
    say(f"{page} in {time.monotonic() - began:.0f} s")
