"""`filmgrain data shard FOLDER OUT`: a folder of files as tar shards, for data that are read from elsewhere."""

import re
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .console import progress, say
from .errors import Usage, usage

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
SHOWN = 20  # refused files; shards.json names all


def shard(
    folder: Annotated[str, Argument(help="Folder of videos and pictures.")],
    out: Annotated[Path, Argument(help="Folder to write shards to; a run that was stopped goes on there.")],
    size: Annotated[str, Option(help="Of a shard: 256MB, 1GB.")] = "256MB",
    labels: Annotated[str, Option(help="Where classes come from: auto, folders, metadata or none.")] = "auto",
    processes: Annotated[int, Option(min=0, help="That decode at the same time; 0: one a core.")] = 0,
) -> None:
    """Write a folder of files as tar shards in the WebDataset layout. What cannot be decoded is named and left out."""
    from ..data.annotations import LABELS
    from ..data.shard_writer import OtherShards, write

    if labels not in LABELS:
        raise Usage(f"--labels {labels} is unknown; use one of {', '.join(LABELS)}")
    try:
        with usage(), progress("shards") as bar:
            written = write(folder, out, size=_bytes(size), labels=labels, processes=processes, progress=bar)
    except OtherShards as error:
        raise Usage(str(error)) from None
    say(f"{written.pictures:,} pictures and {written.clips:,} clips in {written.shards:,} shards: {out}")
    there = written.shards - written.made
    say(f"{written.bytes / 1e9:.3g} GB" + (f"; {there:,} of the shards were there already" if there else ""))
    say(*(f"refused {file}: {reason}" for file, reason in written.refused[:SHOWN]))
    if (more := len(written.refused) - SHOWN) > 0:
        say(f"... and {more:,} more; {out / 'shards.json'} names them all")
    say(f"next: filmgrain train {out}, or the URL that you put its files behind")


def _bytes(text: str) -> int:
    """256MB -> 256,000,000."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]B)", text.upper())
    if found is None:
        raise Usage(f"--size {text} is no size; use a number with its unit, such as 256MB or 1GB")
    return int(float(found[1]) * UNITS[found[2]])
