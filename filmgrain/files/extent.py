"""How long a file says it is, so that one cut short is refused before anything is decoded.

Decoders of video stop quietly where the data stops; but the containers below state their length.
"""

import os
from typing import BinaryIO

SLACK = {"avi": 8}  # bytes: some cameras count the header of the RIFF as well
EBML_UNKNOWN = {(1 << 7 * length) - 1 for length in range(1, 9)}  # sizes whose bits are all one: a live recording


def check(file: BinaryIO, kind: str) -> None:
    """Raises EOFError if `file` ends before its headers say. MPEG streams, FLV, ASF and Ogg do not say."""
    measure = {"webp": _riff, "avi": _riff, "mp4": _boxes, "avif": _boxes, "matroska": _matroska}.get(kind)
    if measure is None:
        return
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    declared = measure(file, size)
    if declared > size + SLACK.get(kind, 0):
        raise EOFError(f"is cut short: it has {size:,} of {declared:,} bytes")


def _riff(file: BinaryIO, size: int) -> int:
    return 8 + int.from_bytes(file.read(8)[4:], "little")


def _boxes(file: BinaryIO, size: int) -> int:
    """The end of the last top-level box: 4 bytes of length (1: 8 more follow; 0: to the end of the file), 4 of name."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8 or not head[4:8].isascii():
            return size  # the last box, or other data behind the boxes
        end += length
    return end


def _matroska(file: BinaryIO, size: int) -> int:
    """An EBML header and one segment: 4 bytes of id each, then a size of variable length, then so many bytes."""
    end = 0
    for _ in range(2):
        file.seek(end + 4)
        head = file.read(8).ljust(8, b"\0")
        length = 9 - head[0].bit_length()  # one more than the zero bits in front
        if length > 8:
            return size
        value = int.from_bytes(head[:length], "big") & ((1 << 7 * length) - 1)
        if value in EBML_UNKNOWN:
            return size
        end += 4 + length + value
    return end
