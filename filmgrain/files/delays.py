"""How long each frame of a GIF, PNG or WebP is shown, read from the file's blocks without decoding a pixel.

It also counts the frames, which Pillow cannot do without decoding, and finds where a file breaks off.
"""

UNSAID = 0.1  # seconds: what browsers make of a delay of 0


def delays(data: bytes, kind: str) -> list[float]:
    """Seconds of each frame; empty for a PNG or WebP without animation. Raises EOFError or ValueError when damaged."""
    found: list[float] = []
    try:
        {"gif": _gif, "png": _png, "webp": _webp}[kind](data, found)
    except IndexError:
        raise EOFError(f"is cut short at frame {len(found)}") from None
    return found


def _gif(data: bytes, found: list[float]) -> None:
    at = _behind_colours(data[10], 13)
    delay = 0.0
    while (marker := data[at]) != ord(";"):
        at += 1
        if marker == ord("!"):
            if data[at] == 0xF9:  # graphic control: flags, the delay in hundredths of a second, a colour
                block = data[at + 2 : at + 2 + data[at + 1]]
                delay = int.from_bytes(block[1:3], "little") / 100
            at = _behind_blocks(data, at + 1)
        elif marker == ord(","):
            at = _behind_blocks(data, _behind_colours(data[at + 8], at + 9) + 1)
            found.append(delay or UNSAID)
            delay = 0.0
        elif marker != 0:  # some writers pad with zeros
            raise ValueError(f"is damaged behind frame {len(found)}")
    if not found:
        raise ValueError("has no frames")


def _behind_colours(flags: int, at: int) -> int:
    return at + (3 << (flags & 7) + 1) if flags & 0x80 else at


def _behind_blocks(data: bytes, at: int) -> int:
    """The end of a chain of blocks, each behind its length; the chain ends with an empty one."""
    while length := data[at]:
        at += length + 1
    return at + 1


def _png(data: bytes, found: list[float]) -> None:
    at, name = 8, b""
    while name != b"IEND":
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        _ = data[at + 11 + size]  # the last byte of its checksum
        if name == b"fcTL":
            numerator, denominator = (int.from_bytes(data[at + 8 + k : at + 10 + k], "big") for k in (20, 22))
            found.append(numerator / (denominator or 100) or UNSAID)
        at += 12 + size


def _webp(data: bytes, found: list[float]) -> None:
    at = 12
    while at < len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        _ = data[at + 7 + size] if size else 0  # the last byte; less than a header behind the last chunk is no harm
        if name == b"ANMF":
            found.append(int.from_bytes(data[at + 20 : at + 23], "little") / 1000 or UNSAID)
        at += 8 + size + size % 2
