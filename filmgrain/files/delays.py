"""How long each frame of a GIF, PNG or WebP is shown, read from the file's blocks without decoding a pixel.

It also counts the frames, which Pillow cannot do without decoding, and finds where a file breaks off.
"""

from typing import BinaryIO

UNSAID = 0.1  # seconds: what browsers make of a delay of 0


def delays(file: BinaryIO, kind: str) -> list[float]:
    """Seconds of each frame; empty for a PNG or WebP without animation. Raises EOFError or ValueError when damaged."""
    file.seek(0)
    return {"gif": _gif, "png": _png, "webp": _webp}[kind](file)


def _gif(file: BinaryIO) -> list[float]:
    found: list[float] = []
    delay = 0.0
    _skip_colours(file, _take(file, 13, found)[10])
    while (marker := _take(file, 1, found)) != b";":
        if marker == b"!":
            label = _take(file, 1, found)
            data = _sub_blocks(file, found)
            if label == b"\xf9":
                delay = int.from_bytes(data[1:3], "little") / 100
        elif marker == b",":
            _skip_colours(file, _take(file, 9, found)[8])
            _take(file, 1, found)
            _sub_blocks(file, found)
            found.append(delay or UNSAID)
            delay = 0.0
        elif marker != b"\0":  # some writers pad with zeros
            raise ValueError(f"is damaged behind frame {len(found)}")
    if not found:
        raise ValueError("has no frames")
    return found


def _png(file: BinaryIO) -> list[float]:
    found: list[float] = []
    _take(file, 8, found)
    name = b""
    while name != b"IEND":
        head = _take(file, 8, found)
        size, name = int.from_bytes(head[:4], "big"), head[4:]
        data = _take(file, size + 4, found)  # with its checksum
        if name == b"fcTL":
            numerator, denominator = int.from_bytes(data[20:22], "big"), int.from_bytes(data[22:24], "big")
            found.append(numerator / (denominator or 100) or UNSAID)
    return found


def _webp(file: BinaryIO) -> list[float]:
    found: list[float] = []
    _take(file, 12, found)
    while head := file.read(8):
        size = int.from_bytes(head[4:], "little")
        data = _take(file, size, found)
        file.read(size % 2)
        if head[:4] == b"ANMF":
            found.append(int.from_bytes(data[12:15], "little") / 1000 or UNSAID)
    return found


def _take(file: BinaryIO, count: int, found: list[float]) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError(f"is cut short at frame {len(found)}")
    return data


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)


def _sub_blocks(file: BinaryIO, found: list[float]) -> bytes:
    """The first of a chain of blocks, each behind its length; the chain ends with an empty one."""
    first = data = _take(file, _take(file, 1, found)[0], found)
    while data:
        data = _take(file, _take(file, 1, found)[0], found)
    return first
