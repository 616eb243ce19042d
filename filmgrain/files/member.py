"""A file inside of a tar, read where it lies: nothing is unpacked."""

import os
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Member:
    """Some bytes of another file. `read` and `probe` take it where they take a path."""

    archive: Path  # which must not be compressed
    name: str  # in the archive
    offset: int  # of its first byte in the archive
    size: int  # bytes
    digest: str = ""  # sha256 of its bytes; "" where none has looked
    content: bytes | None = field(default=None, repr=False, compare=False)  # its bytes, where they have been read

    def __fspath__(self) -> str:
        """What errors call it; nothing lies at this path."""
        return f"{self.archive}/{self.name}"

    def open(self) -> BinaryIO:
        """Its bytes. Raises EOFError where the archive has been cut since it was listed."""
        if self.content is not None:
            return BytesIO(self.content)
        with self.archive.open("rb") as file:
            there = max(0, os.fstat(file.fileno()).st_size - self.offset)
            if there < self.size:
                raise EOFError(f"is cut short: {there:,} of {self.size:,} bytes")
            file.seek(self.offset)
            return BytesIO(file.read(self.size))
