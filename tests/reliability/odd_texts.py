"""What is said of pictures in ways that cannot be read, and shards that are damaged."""

import gzip
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from odd_files import EITHER, IGNORED, REFUSED, USED, Odd, bytes_of

sys.path.append(str(Path(__file__).parents[1] / "data"))
from archives import packed, png

PICTURE = "good-0.png"  # one of the good ones, of which something is said
ROW = {"file_name": PICTURE, "text": "a disc"}

CAPTIONS = {
    "in Latin-1": "caf\xe9".encode("latin-1"),
    "NUL and bytes": bytes(range(256)),
    "half of UTF-16": b"\xff\xfea",
    "a hundred kilobytes": b"word " * 20_000,
}
LINES = {
    "no JSON": b"{file_name: good-0.png}\n",
    "cut short": json.dumps(ROW).encode()[:-9],
    "NUL": b'{"file_name": "good-0.png\0", "text": "a"}\n',
    "nested 100,000 deep": b"[" * 100_000 + b"\n",
    "a list": b'["good-0.png", "a disc"]\n',
    "no name": b'{"text": "a disc"}\n',
    "a path that leads out": b'{"file_name": "../../etc/passwd", "text": "a"}\n',
    "an absolute path": b'{"file_name": "/etc/passwd", "text": "a"}\n',
    "a number for a name": b'{"file_name": 1e999, "text": "a"}\n',
    "a table for a caption": b'{"file_name": "good-0.png", "text": {"a": 1}}\n',
    "a table for a label": b'{"file_name": "good-0.png", "label": {"a": 1}}\n',
    "a number of 5,000 digits": b'{"file_name": "good-0.png", "label": ' + b"9" * 5000 + b"}\n",
    "one endless line": b'{"file_name": "good-0.png", "text": "' + b"a" * 3_000_000 + b'"}\n',
    "in Latin-1": '{"file_name": "good-0.png", "text": "caf\xe9"}\n'.encode("latin-1"),
}
TABLES = {
    "no header": b"good-0.png,a disc\ngood-1.png,another\n",
    "NUL": b"file_name,text\ngood-0.png\0,a\n",
    "no columns": b"\n\n\n",
    "a cell of 3 MB": b"file_name,text\ngood-0.png," + b"a" * 3_000_000 + b"\n",
    "a quote that never ends": b'file_name,text\ngood-0.png,"a\n' + b"b\n" * 50_000,
    "in Latin-1": "file_name,text\ngood-0.png,caf\xe9\n".encode("latin-1"),
}


def texts() -> Iterator[Odd]:
    """Beside good pictures."""
    for what, data in CAPTIONS.items():
        yield Odd(f"caption: {what}", PICTURE.replace("png", "txt"), REFUSED, bytes_of(data))
    for what, data in LINES.items():
        yield Odd(f"metadata: {what}", "metadata.jsonl", REFUSED, bytes_of(data))
    for what, data in TABLES.items():
        fate = IGNORED if what in ("no header", "no columns") else REFUSED  # the former are read as name and caption
        yield Odd(f"table: {what}", "metadata.csv", fate, bytes_of(data))


def shards() -> Iterator[Odd]:
    """Beside a good shard of pictures."""
    whole = _tar()
    for size in (0, 1, 300, 512, 700, len(whole) // 2, len(whole) - 1024, len(whole) - 1100):
        fate = REFUSED if size <= 700 else EITHER
        yield Odd("shard: cut short", f"{size}.tar", fate, bytes_of(whole[:size]))
    yield Odd("shard: another kind", "compressed.tar", REFUSED, bytes_of(gzip.compress(whole, mtime=0)))
    yield Odd("shard: another kind", "text.tar", REFUSED, bytes_of(b"no tar at all " * 100))
    yield Odd("shard: another kind", "zeros.tar", IGNORED, bytes_of(bytes(10_240)))
    yield Odd("shard: header damaged", "sum.tar", REFUSED, bytes_of(b"?" + whole[1:]))
    yield Odd("shard: a picture damaged", "picture.tar", USED, bytes_of(whole[:530] + bytes(40) + whole[570:]))
    yield Odd("shard: no regular file", "pipe.tar", IGNORED, os.mkfifo)
    yield Odd("shard: links", "loop.tar", IGNORED, lambda path: path.symlink_to(path.name))
    for name, kind in {"/etc/x.png": tarfile.REGTYPE, "../x.png": tarfile.REGTYPE, "x.png": tarfile.SYMTYPE}.items():
        yield Odd(f"shard: {name} as {kind.decode()}", "member.tar", REFUSED, _member(name, kind))


def _tar() -> bytes:
    path = BytesIO()
    with tarfile.open(fileobj=path, mode="w") as tar:
        for number in range(3):
            _add(tar, f"{number}.png", tarfile.REGTYPE, png(number))
    return path.getvalue()


def _member(name: str, kind: bytes) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with tarfile.open(path, "w") as tar:
            _add(tar, name, kind, png())

    return make


def _add(tar: tarfile.TarFile, name: str, kind: bytes, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    tar.addfile(info, BytesIO(data))


def good_shard(path: Path) -> None:
    packed(path, {f"{number}.png": png(number) for number in range(6)})
