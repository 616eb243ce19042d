"""Bytes behind a URL of any kind that fsspec knows: listed, read in part, fetched whole.

A read that fails is tried again, `TRIES` times in all and with longer and longer waits; then the URL is named. fsspec,
and the package of a URL's own protocol, are imported with the first URL: files on a disk need neither.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

TRIES = 4
WAIT = 0.5  # seconds before the second try; twice as long before each one after
CONNECT, SILENCE = 30, 60  # seconds over HTTP: to be let in; without a byte
Result = TypeVar("Result")


class Unreachable(OSError):
    """A URL that gave nothing, or not what was asked for: one line with the URL, the reason and what to do."""


class Missing(Unreachable):
    """A URL at which there is nothing, or nothing for this user."""


class NoParts(Unreachable):
    """A server that gives a file from its beginning or not at all."""


def is_url(text: str) -> bool:
    """Whether a text is a URL, such as s3://bucket/shards, and not a path. A drive (C:\\) is one letter."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+(::|://)", text) is not None


def joined(url: str, name: str) -> str:
    return f"{url.rstrip('/')}/{name}"


def listed(url: str) -> list[str]:
    """The URLs of the files in a folder, in order. Over HTTP, those that its page of contents links to."""

    def names(fs: Any, path: str) -> list[str]:
        found = [entry for entry in fs.ls(path, detail=True) if entry.get("type") == "file"]
        return sorted(fs.unstrip_protocol(entry["name"]) for entry in found)

    return _tried(url, names)


def state(url: str) -> tuple[int, str]:
    """The size in bytes, and whatever the server says that changes with the content: an ETag, a time stamp."""

    def told(fs: Any, path: str) -> tuple[int, str]:
        info = fs.info(path)
        marks = ("ETag", "etag", "Content-MD5", "Last-Modified", "LastModified", "mtime", "created")
        return int(info.get("size") or 0), next((str(info[mark]) for mark in marks if info.get(mark)), "")

    return _tried(url, told)


def read(url: str) -> bytes:
    """A small file, all of it."""
    return _tried(url, lambda fs, path: fs.cat_file(path))


def read_part(url: str, offset: int, size: int) -> bytes:
    """Some bytes of a file, fewer where it ends before. Raises `NoParts`."""

    def part(fs: Any, path: str) -> bytes:
        with fs.open(path, "rb", cache_type="none") as file:
            try:
                file.seek(offset)
                return file.read(size)
            except ValueError as error:  # what fsspec says of a server without ranges
                raise NoParts(f"{url}: {' '.join(str(error).split())}") from None

    return _tried(url, part)


def fetch(url: str, path: Path) -> None:
    """A file, written to a path of this machine as it arrives."""
    _tried(url, lambda fs, remote: fs.get_file(remote, str(path)))


def _tried(url: str, ask: Callable[[Any, str], Result]) -> Result:
    for attempt in range(TRIES):
        try:
            return ask(*_filesystem(url))
        except Unreachable:
            raise
        except FileNotFoundError:
            raise Missing(f"{url}: nothing is there; check the address") from None
        except PermissionError:
            raise Missing(f"{url}: may not be read; check the credentials") from None
        except Exception as error:  # those of the network have no class in common
            reason = " ".join(str(error).split()) or type(error).__name__
            if attempt + 1 < TRIES:
                time.sleep(WAIT * 2**attempt)
    raise Unreachable(
        f"{url}: cannot be read after {TRIES} tries ({reason}); check the network, and go on with a run by --resume"
    )


def _filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it. It keeps one for each process, and drops it in a fork."""
    try:
        from fsspec.core import url_to_fs

        return url_to_fs(url, **_options(url))
    except ImportError as error:
        reason = " ".join(str(error).split())
        advice = "what reads URLs: pip install 'filmgrain[remote]', and s3fs or gcsfs for theirs"
        raise Unreachable(f"{url}: cannot be opened ({reason}); {advice}") from None
    except ValueError as error:
        raise Unreachable(f"{url}: {' '.join(str(error).split())}; expected a URL that fsspec knows") from None


def _options(url: str) -> dict[str, Any]:
    if not url.lower().startswith(("http://", "https://")):
        return {}
    from aiohttp import ClientTimeout  # without it, a shard that takes over five minutes would be cut off

    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)}}
