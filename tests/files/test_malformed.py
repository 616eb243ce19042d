"""Whatever is wrong with a file: `Unreadable`, one line that names it, soon."""

import os
import time
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed_bytes import BYTES
from PIL import Image
from samples import ANIMATIONS, STILLS, VIDEOS, disc

from filmgrain.files.encode import read_recipe
from filmgrain.files.kinds import kind, kind_of
from filmgrain.files.video import Unreadable, probe, read

STREAMS = {
    "mpeg2.mpg",
    "h264.ts",
    "flv1.flv",
    "msmpeg4.wmv",
    "vp8.ogv",
}  # these do not say how long they are
SAY_THEIR_LENGTH = [name for name in [*VIDEOS, *ANIMATIONS, *STILLS] if name not in STREAMS]
SECONDS = 5


def check(path: str | Path) -> Unreadable:
    start = time.perf_counter()
    with pytest.raises(Unreadable) as caught:
        read(path)
    assert time.perf_counter() - start < SECONDS
    line = str(caught.value)
    assert line.isprintable() and line.startswith((str(path), ascii(str(path)))) and len(caught.value.reason) > 5
    return caught.value


@pytest.mark.parametrize("name", BYTES)
def test_made_up_bytes(tmp_path, name):
    (tmp_path / name).write_bytes(BYTES[name])
    check(tmp_path / name)


def test_too_many_pixels_are_said_in_our_words(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert "more pixels" in check(tmp_path / "bomb.png").reason


@pytest.mark.parametrize("part", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("name", SAY_THEIR_LENGTH)
def test_cut_short(sample, tmp_path, name, part):
    data = sample(name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * part)])
    check(tmp_path / name)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_stream_cut_short_ends_early_or_is_unreadable(sample, tmp_path, name):
    data = sample(name).read_bytes()
    for part in (0.05, 0.5, 0.9):
        (tmp_path / name).write_bytes(data[: int(len(data) * part)])
        try:
            assert 1 <= len(read(tmp_path / name).frames) <= 10
        except Unreadable as error:
            assert str(error).isprintable()


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _loop(folder: Path) -> Path:
    (folder / "a.gif").symlink_to(folder / "b.gif")
    (folder / "b.gif").symlink_to(folder / "a.gif")
    return folder / "a.gif"


def _dangling(folder: Path) -> Path:
    (folder / "gone.gif").symlink_to(folder / "nowhere")
    return folder / "gone.gif"


def _sound_as(form: str, codec: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"sound.{form}"
        with av.open(str(path), "w", format=form) as container:
            stream = container.add_stream(codec, rate=44100)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


def _wave(folder: Path) -> Path:
    with wave.open(str(folder / "sound.avi"), "wb") as sound:
        sound.setparams((1, 2, 44100, 0, "NONE", ""))
        sound.writeframes(bytes(2000))
    return folder / "sound.avi"


def _video_without_frames(folder: Path) -> Path:
    with av.open(str(folder / "none.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return folder / "none.mkv"


def _folder(**files: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for name, data in files.items():
            (folder / name.replace("_", ".")).write_bytes(data)
        return folder

    return make


def _folder_of_shapes(folder: Path) -> Path:
    Image.new("RGB", (40, 30)).save(folder / "1.png")
    Image.new("RGB", (30, 30)).save(folder / "2.png")
    return folder


def _float_pixels(folder: Path) -> Path:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "depth.tiff")
    return folder / "depth.tiff"


def _odd_name(folder: Path) -> Path:
    path = folder / os.fsdecode(b"new\nline \xff \xe2\x80\xae.gif")
    path.write_bytes(b"GIF89a")
    return path


THINGS: dict[str, Callable[[Path], Path]] = {
    "missing": lambda folder: folder / "no.gif",
    "fifo": _fifo,
    "device": lambda folder: Path("/dev/zero"),
    "symlink loop": _loop,
    "dangling symlink": _dangling,
    "name with a zero": lambda folder: Path(f"{folder}/a\0b.gif"),
    "endless name": lambda folder: folder / ("a" * 5000),
    "odd name": _odd_name,
    "file as folder": lambda folder: Path("/etc/hostname/a.gif"),
    "sound in mp4": _sound_as("mp4", "aac"),
    "sound in matroska": _sound_as("matroska", "aac"),
    "wave": _wave,
    "video without frames": _video_without_frames,
    "empty folder": _folder(),
    "folder of text": _folder(a_txt=b"a", b_json=b"{}"),
    "folder with a damaged frame": _folder(a_png=b"\x89PNG\r\n\x1a\n", b_png=b""),
    "folder with an empty frame": _folder(a_png=b""),
    "folder of two shapes": _folder_of_shapes,
    "float pixels": _float_pixels,
}


@pytest.mark.parametrize("name", THINGS)
def test_things_that_are_no_clips(tmp_path, name):
    check(THINGS[name](tmp_path))


def test_it_says_at_which_frame(sample, tmp_path):
    data = sample("a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: int(len(data) * 0.75)])
    assert check(tmp_path / "a.gif").reason == "is cut short at frame 7"
    for index, frame in enumerate(disc(3)):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    (tmp_path / "a.gif").unlink()
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    with pytest.raises(Unreadable, match=r"1\.png: "):
        read(tmp_path)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_flipped_bytes_give_a_clip_or_unreadable(sample, tmp_path, data):
    name = data.draw(st.sampled_from([*VIDEOS, *ANIMATIONS, *STILLS]))
    content = bytearray(sample(name).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "flipped"
    path.write_bytes(content)
    try:
        clip = read(path)
    except Unreadable as error:
        assert str(error).isprintable()
    else:
        assert clip.frames.dtype == np.uint8 and (np.diff(clip.times) > 0).all()
        assert clip.duration > clip.times[-1] or len(clip.frames) == 1


@given(st.binary(max_size=700))
def test_any_bytes_have_a_kind_or_none(head):
    assert kind_of(head) is None or isinstance(kind_of(head), str)


@pytest.mark.parametrize("look", [probe, read_recipe])
def test_probe_and_read_recipe_refuse_likewise(tmp_path, look):
    (tmp_path / "empty.gif").touch()
    for path in (tmp_path / "empty.gif", tmp_path / "missing.mp4"):
        with pytest.raises(Unreadable, match=path.name):
            look(path)
    assert kind(tmp_path) is None and kind(tmp_path / "missing.mp4") is None
