"""Tables of what is said of files: metadata.jsonl and captions.csv, a row a file, by names relative to their folder.

{"file_name": "1.png", "text": "a cat on a mat", "label": "cat"}         a line of .jsonl
file_name,text                                                           the first line of .csv
1.png,a cat on a mat                                                     and those that follow
"""

import codecs
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("metadata.jsonl", "metadata.csv", "captions.jsonl", "captions.csv")
KEYS = ("file_name", "file", "filename", "path")  # of the file's name
LONGEST = 65_536  # bytes of a line

Row = dict[str, Any]


def rows(path: Path) -> Iterator[tuple[int, Row | ValueError]]:
    """The rows of a table with their line numbers, each with its "file_name"; or what is wrong with a line.

    Raises OSError, and ValueError where the whole cannot be read.
    """
    for number, row in (_csv if path.suffix == ".csv" else _jsonl)(path):
        name = next((row[key] for key in KEYS if isinstance(row, dict) and row.get(key)), None)
        if not isinstance(row, dict) or not isinstance(name, str):
            yield (
                number,
                ValueError('is no JSON object with a "file_name"' if path.suffix != ".csv" else "names no file"),
            )
        else:
            yield number, row | {"file_name": name}


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line.removeprefix(codecs.BOM_UTF8))
            except (ValueError, RecursionError):
                yield number, None


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    """Without a first line of known names, the columns are the file and its caption."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader, names = csv.reader(file), ["file_name", "text"]
        try:
            for line, cells in enumerate(reader):
                if line == 0 and {cell.strip().lower() for cell in cells} & set(KEYS):
                    names = [cell.strip().lower() for cell in cells]
                elif any(cells):
                    yield reader.line_num, {name: cell for name, cell in zip(names, cells, strict=False) if cell}
        except UnicodeDecodeError:
            raise ValueError("is no text in UTF-8; save it as UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"line {reader.line_num}: {error}") from None
