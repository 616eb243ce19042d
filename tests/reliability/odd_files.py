"""Files that nobody would want to train on, and some that only look so: each made here, the same every time."""

import os
import random
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from filmgrain.files.encode import write_gif

sys.path.append(str(Path(__file__).parents[1] / "files"))
from malformed_bytes import BYTES, GIF_HEAD
from samples import ANIMATIONS, STILLS, VIDEOS, disc, make_pictures, make_video

REFUSED, USED, IGNORED, EITHER = "refused", "used", "ignored", "any of these"
STREAMS = (".mpg", ".ts", ".flv", ".wmv", ".ogv")  # do not say how long they are, so a part may pass for the whole
STILL = ("bomb.bmp", "head.jpg", "head.tiff", "loop.tiff", "picture.heic")  # no videos, whatever else is wrong
CUTS = (0.02, 0.3, 0.6, 0.9, 1.0)  # of a file; 1 is all but its last byte
SHORT_NAMES = (
    b"-rf.gif",
    b"a b.gif",
    b"a\nb.gif",
    b"\xff\xfe.gif",
    b"\xe2\x80\xaefig.gif",
    b"$(touch x).gif",
    b"a;b.gif",
)
NAMES = (
    *SHORT_NAMES,
    b"%s%n.gif",
    b"[red]a.gif",
    b"\x1b[31m.gif",
    b"a" * 251 + b".gif",
    b"\"a'.gif",
    b"..gif.gif",
)


class Odd(NamedTuple):
    """Something in a folder of data."""

    kind: str  # by which they are counted
    name: str  # of what is put into the folder, and becomes of it what `fate` says
    fate: str
    make: Callable[[Path], object]  # at its path


def sound(folder: Path) -> dict[str, bytes]:
    """The bytes of sound files of each kind."""
    folder.mkdir()
    clip = disc()
    made = {name: make_video(folder / name, clip, *how) for name, how in VIDEOS.items()}
    made |= {name: make_pictures(folder / name, clip, form) for name, form in ANIMATIONS.items()}
    made |= {name: make_pictures(folder / name, clip[:1], form) for name, form in STILLS.items()}
    return {name: path.read_bytes() for name, path in made.items()}


def videos(files: dict[str, bytes]) -> Iterator[Odd]:
    """What may lie in a folder of videos."""
    moving = {name: data for name, data in files.items() if name not in STILLS}
    for name, data in moving.items():
        yield from damaged(name, data, EITHER if name.endswith(STREAMS) else REFUSED)
    for name, data in BYTES.items():
        yield Odd("made-up bytes", name, IGNORED if name in STILL else REFUSED, bytes_of(data))
    for name, data in moving.items():  # by its first bytes a file is known, not by its name
        other = {".gif": ".mp4", ".mp4": ".gif"}.get(Path(name).suffix, ".txt")
        yield Odd("wrong extension", f"{name}{other}", USED, bytes_of(data))
    yield Odd("wrong extension", "no_extension", USED, bytes_of(files["a.gif"]))
    for raw in NAMES:
        name = os.fsdecode(raw)
        yield Odd("odd name, sound", name, IGNORED if name.startswith(".") else USED, bytes_of(files["a.gif"]))
        yield Odd(
            "odd name, damaged", name, IGNORED if name.startswith(".") else REFUSED, bytes_of(files["a.gif"][:900])
        )
    yield from things(files)
    yield from clips()


def damaged(name: str, data: bytes, cut: str) -> Iterator[Odd]:
    for part in CUTS:
        size = len(data) - 1 if part == 1 else int(len(data) * part)
        fate = cut if 0.1 < part < 1 else EITHER  # what is left of the start may be of no known kind
        yield Odd("cut short", f"{size}-bytes-{name}", fate, bytes_of(data[:size]))
    third, draw = len(data) // 3, random.Random(name)
    yield Odd("middle zeroed", f"zeroed-{name}", EITHER, bytes_of(data[:third] + bytes(third) + data[2 * third :]))
    yield Odd("bytes appended", f"longer-{name}", EITHER, bytes_of(data + draw.randbytes(1000)))
    flipped = bytearray(data)
    for at in draw.sample(range(len(data)), 20):
        flipped[at] ^= 1 << draw.randrange(8)
    yield Odd("bits flipped", f"flipped-{name}", EITHER, bytes_of(bytes(flipped)))


def things(files: dict[str, bytes]) -> Iterator[Odd]:
    """Names in a folder behind which there is no regular file, or a folder."""
    yield Odd("no regular file", "pipe.mp4", IGNORED, lambda path: os.mkfifo(path))
    yield Odd("no regular file", "socket.mp4", IGNORED, _socket)
    yield Odd("no regular file", "zero.gif", IGNORED, lambda path: path.symlink_to("/dev/zero"))
    yield Odd("no regular file", "memory.gif", REFUSED, lambda path: path.symlink_to("/proc/self/mem"))  # unreadable
    yield Odd("links", "itself.gif", REFUSED, lambda path: path.symlink_to(path.name))
    yield Odd("links", "nowhere.gif", REFUSED, lambda path: path.symlink_to("gone.gif"))
    yield Odd("links", "up", IGNORED, lambda path: path.symlink_to("."))
    yield Odd("links", "elsewhere.gif", REFUSED, lambda path: path.symlink_to("/etc/hostname"))
    yield Odd("folders", "folder.gif", IGNORED, Path.mkdir)
    yield Odd("folders", "texts.mp4", IGNORED, _folder(**{"a.txt": b"a"}))
    yield Odd("folders", "hidden", IGNORED, _folder(**{".a.gif": files["a.gif"]}))
    png = files["s.png"]
    yield Odd("folders", "torn", REFUSED, _folder(**{"f1.png": png, "f2.png": png[:60], "f3.png": png}))
    yield Odd("folders", "shapes", REFUSED, _shapes)
    yield Odd("folders", "frames", USED, _folder(**{f"f{n}.png": png for n in range(9, 13)}))
    yield Odd("folders", "kinds", USED, _folder(**{"f1.png": png, "f2.png": files["s.jpg"], "f3.png": files["s.webp"]}))


def clips() -> Iterator[Odd]:
    """Of few frames or many, of odd sizes, delays, colours and times."""
    shapes = {"1x1": (1, 1), "1x300": (1, 300), "300x1": (300, 1), "31x33": (31, 33)}
    for text, (height, width) in shapes.items():
        yield Odd("odd sizes", f"{text}.gif", USED, _gif(height, width))
    yield Odd("frames", "one.gif", REFUSED, _pictures("GIF", 1))
    yield Odd("frames", "two.gif", USED, _pictures("GIF", 2))
    yield Odd("frames", "one.mp4", REFUSED, lambda path: make_video(path, disc(1), *VIDEOS["h264.mp4"]))
    yield Odd("frames", "300.gif", USED, _pictures("GIF", 300, 8, 8))
    bomb = GIF_HEAD + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0" * 400_000 + b";"
    wide = b"GIF89a" + struct.pack("<HHBBB", 6000, 6000, 0, 0, 0) + bomb[len(GIF_HEAD) :]
    yield Odd("bombs", "400,000 frames of 6000x6000.gif", REFUSED, bytes_of(wide))
    yield Odd("bombs", "20,000x20,000.png", REFUSED, lambda path: Image.new("1", (20_000, 20_000)).save(path, "PNG"))
    for delay in (0, 10, 655_350):
        yield Odd("delays", f"{delay} ms.gif", USED, _pictures("GIF", 4, duration=delay))
        yield Odd("delays", f"{delay} ms.webp", USED, _pictures("WEBP", 4, duration=delay))
    yield Odd("delays", "rate of 1000.mp4", USED, lambda path: make_video(path, disc(), *VIDEOS["h264.mp4"], rate=1000))
    for mode in ("L", "1", "P", "RGBA"):
        yield Odd("colours", f"{mode}.gif", USED, _modes("GIF", mode))
        yield Odd("colours", f"{mode}.png", USED, _modes("PNG", mode))
    yield Odd("colours", "changing palette and size.gif", USED, _pictures("GIF", 4, disposal=2, optimize=True))
    yield Odd("sound only", "sound.mp4", REFUSED, _sound("mp4"))
    yield Odd("sound only", "sound.mkv", REFUSED, _sound("matroska"))


def pictures(files: dict[str, bytes]) -> Iterator[Odd]:
    """What may lie in a folder of pictures."""
    for name in STILLS:
        yield from damaged(name, files[name], EITHER)
    modes = {
        "L": "png",
        "1": "png",
        "LA": "png",
        "RGBA": "png",
        "P": "png",
        "I;16": "png",
        "CMYK": "jpg",
        "YCbCr": "jpg",
    }
    for mode, suffix in modes.items():
        yield Odd("pictures, colours", f"{mode.replace(';', ' ')}.{suffix}", USED, _still(mode))
    yield Odd("pictures, colours", "F.tiff", REFUSED, _still("F"))
    for turn in range(1, 10):
        yield Odd("pictures, rotation", f"orientation {turn}.jpg", USED, _turned(turn))
    yield Odd("pictures, pages", "pages.tiff", USED, _pictures("TIFF", 3))


def bytes_of(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _pictures(form: str, count: int, height: int = 24, width: int = 32, **options: object) -> Callable[[Path], object]:
    return lambda path: make_pictures(path, disc(count, height, width), form, **options)


def _gif(height: int, width: int) -> Callable[[Path], object]:
    return lambda path: write_gif(path, disc(4, height, width), 10)  # Pillow merges equal frames


def _modes(form: str, mode: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        first, *rest = (Image.fromarray(frame).convert(mode) for frame in disc(4))
        first.save(path, form, save_all=True, append_images=rest, duration=50)

    return make


def _still(mode: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        grey = disc(1)[0, :, :, 0]
        wide = {"I;16": np.uint16, "F": np.float32}.get(mode)
        image = Image.fromarray(grey.astype(wide) * 200) if wide else Image.fromarray(disc(1)[0]).convert(mode)
        image.save(path)

    return make


def _turned(turn: int) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(disc(1)[0]).save(path, exif=exif)

    return make


def _folder(**files: bytes) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data)

    return make


def _shapes(path: Path) -> None:
    path.mkdir()
    for number, size in enumerate([(40, 30), (30, 30)]):
        Image.new("RGB", size).save(path / f"{number}.png")


def _socket(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # the path of a socket may have a hundred bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.fchdir(here)
    os.close(here)


def _sound(form: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        with av.open(str(path), "w", format=form) as container:
            stream = container.add_stream("aac", rate=44100)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return make
