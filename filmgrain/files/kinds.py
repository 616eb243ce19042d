"""What a file is, by its first bytes; a name's extension is never asked."""

from os import PathLike
from pathlib import Path

PICTURES = frozenset({"gif", "webp", "png", "jpeg", "bmp", "tiff", "avif"})  # read by Pillow
VIDEOS = frozenset({"mp4", "matroska", "avi", "mpeg", "mpegts", "flv", "asf", "ogg"})  # read by PyAV

STARTS = {
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"\x1a\x45\xdf\xa3": "matroska",
    b"\0\0\x01\xba": "mpeg",
    b"FLV\x01": "flv",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
    b"OggS": "ogg",
}
BITMAP_HEADERS = {12, 40, 52, 56, 64, 108, 124}  # bytes: the sizes that a BMP's second header can have
QUICKTIME_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}  # how a .mov older than `ftyp` begins
TRANSPORT_PACKET = 188  # bytes; each packet of an MPEG transport stream begins with 0x47
HEAD = 3 * TRANSPORT_PACKET  # bytes: what `kind_of` wants to see


def kind(path: str | PathLike[str]) -> str | None:
    """The kind of a file, as "gif" or "mp4"; None for one that is unknown, not regular or may not be opened."""
    path = Path(path)
    try:
        if path.is_file():
            with path.open("rb") as file:
                return kind_of(file.read(HEAD))
    except OSError:
        pass
    return None


def kind_of(head: bytes) -> str | None:
    """The kind of a file that begins with `head` (its first `HEAD` bytes)."""
    for start, name in STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in QUICKTIME_ATOMS:
        return "mp4"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BITMAP_HEADERS:
        return "bmp"
    if len(head) == HEAD and all(head[at] == 0x47 for at in range(0, HEAD, TRANSPORT_PACKET)):
        return "mpegts"
    return None


def _brand(head: bytes) -> str | None:
    """AVIF, HEIC and MP4 share one container; the `ftyp` box lists the brands that a file conforms to."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "avif"
    return None if brands & {b"heic", b"heix", b"mif1", b"msf1"} else "mp4"
