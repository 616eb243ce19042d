"""Every container gives the same clip: its frames, their times, its duration."""

import pickle
import shutil
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from malformed_bytes import BYTES
from PIL import Image
from samples import ANIMATIONS, STILLS, VIDEOS, disc, make_video

from filmgrain.files.kinds import PICTURES, kind
from filmgrain.files.video import Budget, Info, Unreadable, moves, probe, read

LOSSLESS = {"a.png", "ffv1.mkv", "s.png", "s.bmp", "s.tiff"}


@pytest.mark.parametrize("name", [*VIDEOS, *ANIMATIONS])
def test_frames_and_times_of_every_container(sample, moving, name):
    clip = read(sample(name))
    error = np.abs(clip.frames.astype(int) - moving)
    assert clip.frames.shape == moving.shape and clip.frames.dtype == np.uint8
    assert error.max() == 0 if name in LOSSLESS else error.mean() < 6
    np.testing.assert_allclose(clip.times, np.arange(10) / 25, atol=2e-3)
    assert clip.duration == pytest.approx(0.4, abs=2e-3) and clip.fps == pytest.approx(25, abs=0.2)


@pytest.mark.parametrize("name", STILLS)
def test_a_still_is_one_frame_of_no_duration(sample, moving, name):
    clip = read(sample(name))
    error = np.abs(clip.frames.astype(int) - moving[:1])
    assert clip.frames.shape == (1, 48, 64, 3) and clip.duration == clip.fps == 0
    assert error.max() == 0 if name in LOSSLESS else error.mean() < 6


@pytest.mark.parametrize("name", [*VIDEOS, *ANIMATIONS, *STILLS])
def test_what_moves_is_known_by_its_headers(sample, name):
    assert moves(sample(name)) == (name not in STILLS)


@pytest.mark.parametrize("name", [*VIDEOS, *ANIMATIONS, *STILLS])
def test_probe_says_what_read_gives(sample, name):
    info, clip = probe(sample(name)), read(sample(name))
    assert (info.frames, info.height, info.width) == clip.frames.shape[:3]
    assert info.duration == pytest.approx(clip.duration, abs=1e-6)


@pytest.mark.parametrize("name", [*VIDEOS, *ANIMATIONS, *STILLS])
def test_the_name_does_not_matter(sample, tmp_path, name):
    disguised = shutil.copy(sample(name), tmp_path / "holiday.txt")
    np.testing.assert_array_equal(read(disguised).frames, read(sample(name)).frames)


def test_size_scales_while_reading(sample):
    seen = []

    def half(height: int, width: int) -> tuple[int, int]:
        seen.append((height, width))
        return height // 2, width // 2

    assert read(sample("h264.mp4"), size=half).frames.shape == (10, 24, 32, 3)
    assert seen == [(48, 64)]


def test_an_error_of_the_callers_size_is_not_the_files(sample):
    with pytest.raises(ZeroDivisionError):
        read(sample("a.gif"), size=lambda height, width: (height // 0, width))


def test_uneven_times(tmp_path):
    path, starts = tmp_path / "uneven.mkv", [0, 40, 50, 400, 1000]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgra"
        stream.codec_context.time_base = Fraction(1, 1000)
        for start, frame in zip(starts, disc(5), strict=True):
            picture = av.VideoFrame.from_ndarray(frame)
            picture.pts, picture.time_base = start, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    clip = read(path)
    np.testing.assert_allclose(clip.times, np.array(starts) / 1000)
    assert clip.duration == pytest.approx(1.04)


@pytest.mark.parametrize(("turns", "matrix"), [(1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0))])
def test_a_phone_held_sideways(sample, tmp_path, turns, matrix):
    """The display matrix in a track's header turns the picture clockwise."""
    data = bytearray(sample("h264.mp4").read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    clip, info = read(turned), probe(turned)
    np.testing.assert_array_equal(clip.frames, np.rot90(read(sample("h264.mp4")).frames, -turns, axes=(1, 2)))
    assert (info.height, info.width) == clip.frames.shape[1:3]


def test_wide_pixels_are_shown_wide(tmp_path):
    path = tmp_path / "anamorphic.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(disc(1)[0])))
        container.mux(stream.encode(None))
    assert read(path).frames.shape == (1, 48, 96, 3)


def test_what_is_transparent_in_a_video_shows_the_background(tmp_path):
    path, picture = tmp_path / "alpha.mkv", np.zeros((48, 64, 4), np.uint8)
    picture[:, 32:] = (200, 10, 20, 255)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgra"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode(None))
    frame = read(path, background=(1, 2, 3)).frames[0]
    assert frame[5, 5].tolist() == [1, 2, 3] and frame[5, 40].tolist() == [200, 10, 20]


@pytest.mark.parametrize("shape", [(96, 128), (96, 96)])
def test_a_stream_may_change_its_resolution_but_not_its_shape(tmp_path, shape):
    streams = [
        make_video(tmp_path / f"{h}.ts", disc(5, h, w), "mpegts", "mpeg2video", "yuv420p") for h, w in [(48, 64), shape]
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(path.read_bytes() for path in streams))
    if shape == (96, 96):
        with pytest.raises(Unreadable, match=r"frame [45] is 96×96, the first 64×48"):
            read(joined)
    else:
        clip = read(joined)
        assert clip.frames.shape[1:] == (48, 64, 3) and (np.diff(clip.times) > 0).all()
        assert len(clip.frames) in (9, 10)  # the decoder drops a frame where the size changes


@pytest.mark.parametrize("budget", [Budget(frame=3000), Budget(pixels=30_000), Budget(bytes=90_000)])
@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "a.gif", "a.webp", "a.png"])
def test_over_budget(sample, name, budget):
    with pytest.raises(Unreadable, match=r"10 frames of 64×48.*over the budget"):
        read(sample(name), budget=budget)
    assert len(read(sample(name), budget=Budget(frame=3072, pixels=30_720, bytes=92_160)).frames) == 10


def test_many_pixels_of_few_bytes_are_refused_at_once(tmp_path):
    path = tmp_path / "many.gif"
    path.write_bytes(BYTES["many.gif"])
    with pytest.raises(Unreadable) as error:
        read(path)
    assert error.value.reason == (
        "500 frames of 9000×9000 in 7,514 bytes are over the budget of 5,878,500,000 pixels for so few; "
        "cut it or scale it down"
    )


def test_few_bytes_may_show_as_many_pixels_as_take_seconds_and_more_bytes_more(sample, tmp_path):
    """Limits of 4e9 and 250,000 a byte, of which black films of 1920×1080 were measured to have half."""
    assert Budget().free > 60 * 30 * 1080 * 1920  # a minute of anything at all
    info, stored = Info(36_000, 1080, 1920, 1200.0), 36_000 * 16  # 20 black minutes of H.264: 16 bytes a frame
    Budget().check("black.mp4", info, (64, 64), stored)
    with pytest.raises(Unreadable, match="for so few"):
        Budget().check("black.mp4", info, (64, 64), stored // 4)
    size = sample("a.gif").stat().st_size
    assert len(read(sample("a.gif"), budget=Budget(free=0, dense=-(-30_720 // size))).frames) == 10
    with pytest.raises(Unreadable, match=r"10 frames of 64×48 in .* bytes are over the budget"):
        read(sample("a.gif"), budget=Budget(free=0, dense=30_720 // size - 1))


def test_frames_in_a_folder_count_by_all_their_bytes(tmp_path):
    for number in range(3):
        Image.new("L", (40, 30)).save(tmp_path / f"{number}.png")
    stored = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert len(read(tmp_path, budget=Budget(free=3600 - stored, dense=1)).frames) == 3
    with pytest.raises(Unreadable, match=f"3 frames of 40×30 in {stored} bytes"):
        read(tmp_path, budget=Budget(free=3599 - stored, dense=1))


def test_scaling_saves_memory_not_time(sample):
    assert read(sample("h264.mp4"), size=lambda h, w: (24, 32), budget=Budget(bytes=90_000)).frames.shape[1] == 24
    with pytest.raises(Unreadable, match="cut it into shorter files"):
        read(sample("h264.mp4"), size=lambda h, w: (24, 32), budget=Budget(pixels=30_000))


def test_a_header_that_promises_few_frames_does_not_get_round_the_budget(sample, tmp_path):
    data = bytearray(sample("mjpeg.avi").read_bytes())
    at = data.index(b"strh") + 8 + 32  # dwLength of the stream: 10 frames
    data[at : at + 4] = struct.pack("<I", 2)
    path = tmp_path / "liar.avi"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="over the budget"):
        read(path, budget=Budget(pixels=20_000))


def test_kinds(sample):
    kinds = {name: kind(sample(name)) for name in [*VIDEOS, *ANIMATIONS, *STILLS]}
    assert all((found in PICTURES) == (name not in VIDEOS) for name, found in kinds.items())
    assert kinds["h264.mov"] == kinds["h264.mp4"] == "mp4" and kinds["vp9.webm"] == "matroska"


def test_unreadable_crosses_processes():
    error = pickle.loads(pickle.dumps(Unreadable("a\nb.gif", "is empty")))
    assert str(error) == "'a\\nb.gif': is empty" and error.reason == "is empty"


def test_folder_of_frames_in_natural_order(tmp_path, moving):
    for index, frame in enumerate(moving):
        Image.fromarray(frame).save(tmp_path / f"frame{index + 1}.{'bmp' if index % 2 else 'png'}")
    (tmp_path / "caption.txt").write_text("a disc")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    clip, info = read(tmp_path), probe(tmp_path)
    np.testing.assert_array_equal(clip.frames, moving)
    assert clip.fps == 10 and (info.frames, info.duration) == (10, 1.0)
