"""Real files through the whole room: listing, cache, windows, crops, splits."""

import errno
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from moving_square import DARK, moving, write_frames
from PIL import Image

from filmgrain.data import NoData, cache, image_folder, prepare, split, video_folder
from filmgrain.data.listing import look
from filmgrain.data.loader import Loader
from filmgrain.data.prepare import Decoder
from filmgrain.data.video_folder import Config, Dataset
from filmgrain.files.encode import write_gif, write_mp4


def config(root: Path, **changes: Any) -> Config:
    return Config(
        **{"folder": str(root), "frames": 5, "height": 24, "width": 32, "held_out": 0.0, "processes": 1} | changes
    )


def items(dataset: Dataset, count: int = 40) -> list[np.ndarray]:
    return [dataset.item(n % len(dataset), random.Random(n))["x"] for n in range(count)]


def edges(x: np.ndarray) -> np.ndarray:
    """Where the square's left edge is in each frame of (c f h w), to a fraction of a pixel."""
    bright = np.clip((x[0].astype(float) - DARK) / (255 - DARK), 0, 1)[:, 4:12].mean(1)  # (f, w)
    return (bright * np.arange(x.shape[-1])).sum(1) / bright.sum(1) - 3.5


def test_all_formats_are_found_in_natural_order(folder: Path) -> None:
    dataset = Dataset(config(folder))
    assert [part.name for part in dataset.parts] == [
        "clip2.gif", "clip10.gif", "deep/a.mp4", "deep/er/b.webp", "deep/er/c.webm", "shots/first",
    ]  # fmt: skip
    assert [part.last for part in dataset.parts] == [20, 6, 40, 12, 15, 11]
    assert not dataset.refused
    assert dataset.listing.ignored == {".txt": 1} and len(dataset.listing.stills) == 2 + 11


def test_an_epoch_counts_long_clips_more_often(folder: Path) -> None:
    assert Dataset(config(folder)).items == [4, 1, 8, 2, 3, 2]
    sources = [b["source"][0] for b in islice(Loader(Dataset(config(folder)), batch=1, seed=0).batches(), 20)]
    assert sources.count("deep/a.mp4") == 8 and sources.count("clip10.gif") == 1


def test_windows_of_a_file_begin_anywhere(tmp_path: Path) -> None:
    """Mistake 15: always the first frames."""
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(20), 10)
    starts = {round(edges(x)[0]) for x in items(Dataset(config(root)), 150)}
    assert starts == set(range(16))


@pytest.mark.parametrize("short", ["loop", "mirror"])
def test_short_clips_are_never_padded_with_black(tmp_path: Path, short: str) -> None:
    """Mistake 15, its second half."""
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(3), 10)
    for x in items(Dataset(config(root, frames=9, short=short))):
        assert x.min() >= DARK - 3
        assert (x[0].reshape(9, -1).max(1) > 200).all()


def test_one_crop_and_one_flip_a_clip(tmp_path: Path) -> None:
    """Mistake 14: a flip drawn for each frame."""
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8)[None, None, :, None] * 5, (6, 24, 48, 3))
    write_frames(tmp_path / "v" / "shot", ramp)
    seen = set()
    for x in items(Dataset(config(tmp_path / "v", crop="random", flip=True, width=24)), 400):
        assert (x == x[:, :1, :1]).all()  # all frames, all rows
        assert np.ptp(np.diff(x[0, 0, 0].astype(int))) == 0
        seen.add((int(x[0, 0, 0, 0]), int(x[0, 0, 0, -1])))
    assert len(seen) == 2 * 25
    centre = items(Dataset(config(tmp_path / "v", width=24)), 10)
    assert all((x[0, :, :, 0] == 5 * 12).all() for x in centre)


def test_flips_are_half_of_the_draws(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(5), 10)
    forward = [np.diff(edges(x))[0] > 0 for x in items(Dataset(config(root, flip=True)), 100)]
    assert 30 < sum(forward) < 70


def test_what_moves_at_a_speed_moves_at_it_whatever_the_rate_of_its_file(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    for rate in (10, 25, 50):  # 20 pixels a second
        write_mp4(root / f"{rate}.mp4", moving(rate, 24, 48, step=20 / rate), rate)
    write_gif(root / "gif.gif", moving(20, 24, 48, step=1), 20)
    dataset = Dataset(config(root, width=48, fps=5, frames=4))
    for n, part in enumerate(dataset.parts):
        for draw in range(5):
            travelled = np.diff(edges(dataset.item(sum(dataset.items[:n]), random.Random(draw))["x"]))
            assert np.abs(travelled - 4).max() <= 20 / 10 and abs(travelled.mean() - 4) < 0.75, part.name


def test_any_shape_is_covered(folder: Path) -> None:
    for height, width in ((7, 33), (33, 7), (1, 1)):
        x = items(Dataset(config(folder, height=height, width=width)), 6)
        assert all(clip.shape == (3, 5, height, width) for clip in x)


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    frames = [Image.new("RGBA", (32, 24), (200, 0, 0, 0 if i else 255)) for i in range(2)]
    frames[0].save(root / "a.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    x = Dataset(config(root, frames=2, background=(0, 255, 0))).item(0, random.Random(0))["x"]
    assert sorted(tuple(x[:, f, 0, 0]) for f in range(2)) == [(0, 255, 0), (200, 0, 0)]


# The cache


def decodes(dataset: Callable[[], Dataset], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many files a dataset decodes."""
    made: list[Path] = []
    original = Decoder.make

    def counted(self: Decoder, path: Path, digest: str) -> str | None:
        made.append(path)
        return original(self, path, digest)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "make", counted)
        dataset()
    return len(made)


def test_a_file_is_decoded_once_whatever_it_is_called(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decodes(lambda: Dataset(config(folder)), monkeypatch) == 6
    assert decodes(lambda: Dataset(config(folder)), monkeypatch) == 0
    (folder / "clip2.gif").rename(folder / "other.gif")
    assert decodes(lambda: Dataset(config(folder, frames=3, flip=True)), monkeypatch) == 0
    assert decodes(lambda: Dataset(config(folder, height=16)), monkeypatch) == 6
    for n in range(2):  # same name, other content, the time stamp kept
        before = (folder / "other.gif").stat()
        write_gif(folder / "other.gif", moving(20, tint=200 + n), 10)
        os.utime(folder / "other.gif", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert decodes(lambda: Dataset(config(folder)), monkeypatch) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "header", "times", "gone"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "a.gif", moving(20), 10)
    expected = items(Dataset(config(root)))
    (frames,), (about,) = (list(cache.folder().glob(pattern)) for pattern in ("*.npy", "*.json"))
    content = bytearray(frames.read_bytes())
    match damage:
        case "cut":
            frames.write_bytes(content[:-100])
        case "flip":
            content[5000] ^= 1
            frames.write_bytes(content)
        case "header":
            frames.write_bytes(b"\0" * len(content))
        case "times":
            about.write_text(about.read_text()[:-5])
        case "gone":
            frames.unlink()
    assert decodes(lambda: Dataset(config(root)), monkeypatch) == 1
    assert all(map(np.array_equal, items(Dataset(config(root))), expected))
    assert {path.suffix for path in cache.folder().iterdir()} == {".npy", ".json"}  # no temporary file is left


def test_the_cache_can_be_elsewhere_and_says_when_it_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    Dataset(config(folder, cache=str(tmp_path / "there")))
    assert len(list((tmp_path / "there").glob("*.npy"))) == 6
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write the cache .*file .*data.cache"):
        Dataset(config(folder, cache=str(tmp_path / "file")))


def test_progress_is_told_in_the_caller_s_thread_and_may_stop_it(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    Dataset(config(folder), progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dataset(config(folder, height=20), progress=stop)


# Bad files


def spoil(root: Path) -> set[str]:
    """Add what cannot be used to a folder; the names of what must be refused."""
    good = (root / "deep" / "a.mp4").read_bytes()
    gif = (root / "clip2.gif").read_bytes()
    (root / "empty.mp4").touch()
    (root / "cut.mp4").write_bytes(good[: len(good) // 2])
    (root / "deep" / "cut.gif").write_bytes(gif[: len(gif) // 2])
    (root / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (root / "noise.webm").write_bytes(b"\x1a\x45\xdf\xa3" + random.Random(0).randbytes(5000))
    (root / "shots" / "torn").mkdir()
    Image.fromarray(moving(1)[0]).save(root / "shots" / "torn" / "f1.png")
    (root / "shots" / "torn" / "f2.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    write_gif(root / "still.gif", moving(1), 10)
    (root / "broken link.gif").symlink_to(root / "nowhere.gif")
    (root / "odd \n name \udcff.gif").write_bytes(b"GIF89a" + b"\0" * 20)
    (root / "deep" / "up").symlink_to(root)  # a loop
    os.mkfifo(root / "pipe.mp4")
    return {
        "empty.mp4", "cut.mp4", "deep/cut.gif", "playlist.mp4", "noise.webm", "shots/torn", "shots/torn/f2.png",
        "still.gif", "broken link.gif", "odd \\n name \\xff.gif",
    }  # fmt: skip


def test_a_run_with_bad_files_equals_the_run_without(folder: Path) -> None:
    def batches() -> list[dict[str, Any]]:
        return list(islice(Loader(Dataset(config(folder, flip=True)), batch=3, seed=0).batches(), 8))

    clean = batches()
    expected = spoil(folder)
    dataset = Dataset(config(folder, flip=True))
    assert [refused.path for refused in dataset.refused] == sorted(expected)
    assert all(refused.reason and "\n" not in refused.reason for refused in dataset.refused)
    assert dataset.listing.ignored == {".txt": 1, "special": 1}
    for before, after in zip(clean, batches(), strict=True):
        assert torch.equal(before["x"], after["x"]) and before["source"] == after["source"]


def test_a_decoder_that_dies_or_hangs_costs_one_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoding process is replaced by one that dies of clip2.gif and never answers for clip10.gif."""
    script = (
        "import sys, time, os; from filmgrain.data import decode; real = decode.make\n"
        "def make(path, *rest):\n"
        "    if path.name == 'clip2.gif': os.kill(os.getpid(), 11)\n"
        "    if path.name == 'clip10.gif': time.sleep(60)\n"
        "    real(path, *rest)\n"
        "decode.make = make; decode.main()"
    )
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda args, **kw: popen([args[0], "-c", script], **kw))
    monkeypatch.setattr(prepare, "PATIENCE", 4.0)
    paths = [folder / "clip2.gif", folder / "clip10.gif", folder / "deep" / "a.mp4"]
    crashed, hung, good = prepare.prepare(paths, config(folder).scaled, processes=2)
    assert crashed == "ends its decoder (code -11)" and hung == "takes over 4 s to decode"
    assert isinstance(good, cache.Entry) and len(good.times) == 40


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")

    def opened(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", opened)
    assert [(refused.path, refused.reason) for refused in look(tmp_path).refused] == [("a.gif", "Permission denied")]


def test_a_decoder_whose_parent_is_gone_ends_in_silence(tmp_path: Path) -> None:
    scaled = {"root": str(tmp_path), "height": 8, "width": 8, "background": [0, 0, 0]}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        command = [sys.executable, "-W", "ignore", "-m", "filmgrain.data.decode"]
        ended = subprocess.run(command, input=json.dumps(scaled), stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "content, found", [("nothing", "0 other files"), ("texts", "3 other files"), ("stills", "3 stills")]
)
def test_a_folder_of_no_use_is_one_line(tmp_path: Path, content: str, found: str) -> None:
    root = tmp_path / "v"
    root.mkdir()
    for name in "abc":
        if content == "texts":
            (root / f"{name}.txt").write_text("x")
        if content == "stills":
            Image.new("RGB", (8, 8)).save(root / f"{name}.png")
    with pytest.raises(NoData, match=rf"holds no usable video .*{found}.*expected GIF, MP4") as error:
        Dataset(config(root))
    assert "\n" not in str(error.value)


def test_a_missing_folder_and_a_file_are_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NoData, match="not there; give a folder of GIF"):
        Dataset(config(tmp_path / "missing"))
    with pytest.raises(NoData, match="is a file; give a folder of GIF"):
        Dataset(config(folder / "clip2.gif"))


def test_a_sub_folder_is_a_clip_if_its_pictures_are_numbered_without_a_gap(tmp_path: Path) -> None:
    root = tmp_path / "v"
    write_frames(root / "shot 1" / "left", moving(12))
    write_frames(root / "gap", moving(12))
    (root / "gap" / "frame_7.png").unlink()
    write_frames(root / "with film", moving(3))
    write_gif(root / "with film" / "film.gif", moving(4), 10)
    write_frames(root / "names", moving(2))
    (root / "names" / "frame_2.png").rename(root / "names" / "other_2.png")
    dataset = Dataset(config(root))
    assert [part.name for part in dataset.parts] == ["shot 1/left", "with film/film.gif"]
    assert [round(edge) for edge in edges(Dataset(config(root, frames=12)).item(0, random.Random(0))["x"])] == list(
        range(12)
    )


def test_frames_of_a_clip_are_not_told_to_be_unused_stills(tmp_path: Path) -> None:
    root = tmp_path / "v"
    write_frames(root / "shot", moving(12))
    assert not any("stills" in line for line in Dataset(config(root)).summary())
    Image.new("RGB", (8, 8)).save(root / "poster.png")
    assert '1 stills not used; data.name="image_folder" takes them' in Dataset(config(root)).summary()


def test_what_may_not_be_looked_at_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "v"
    (root / "deep").mkdir(parents=True)
    write_gif(root / "deep" / "a.gif", moving(12), 10)
    (root / "deep" / "locked.gif").symlink_to("elsewhere")
    (root / "locked").symlink_to("elsewhere")
    seen = os.stat

    def stat(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        if isinstance(path, (str, os.PathLike)) and Path(path).stem == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return seen(path, *rest, **options)

    monkeypatch.setattr(os, "stat", stat)
    listing = look(root)
    assert [path.name for path in listing.videos] == ["a.gif"]
    assert [(refused.path, refused.reason) for refused in listing.refused] == [
        ("locked", "Permission denied"),
        ("deep/locked.gif", "Permission denied"),
    ]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"height": 0}, "at least 1 pixel"),
        ({"crop": "top"}, "centre, random"),
        ({"background": (300, 0, 0)}, "of 0 to 255"),
        ({"processes": -1}, "use 0"),
    ],
)
@pytest.mark.parametrize("made", [image_folder.Config, video_folder.Config])
def test_settings_that_no_file_can_be_read_with(made: type, setting: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        made(folder="v", **setting)


@pytest.mark.parametrize("fps", [-1.0, math.inf, math.nan])
def test_a_rate_is_a_number_of_frames(fps: float) -> None:
    with pytest.raises(ValueError, match="fps of 0"):
        video_folder.Config(folder="v", fps=fps)


# What is held out


def test_ten_clips_hold_out_whole_files_by_content(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    for n in range(12):
        write_gif(root / f"{n}.gif", moving(6, tint=140 + 8 * n), 10)
    (root / "copy of 3.gif").write_bytes((root / "3.gif").read_bytes())
    train, held_out = (Dataset(config(root, held_out=0.25), split) for split in ("train", "held_out"))
    digests = [{part.entry.digest for part in dataset.parts} for dataset in (train, held_out)]
    assert not digests[0] & digests[1] and len(digests[1]) == 3
    assert len(train.parts) + len(held_out.parts) == 13
    for n in range(12):
        (root / f"{n}.gif").rename(root / f"renamed {11 - n}.gif")
    again = Dataset(config(root, held_out=0.25), "held_out")
    assert {part.entry.digest for part in again.parts} == digests[1]


@pytest.mark.parametrize(("fraction", "held_out"), [(0, 0), (0.01, 1), (0.25, 3), (0.99, 11)])
def test_something_is_left_to_train_on(fraction: float, held_out: int) -> None:
    assert len(split.by_content([f"{n:x}" for n in range(12)], fraction)) == held_out


def test_few_clips_hold_out_the_end_of_the_long_ones(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "long.gif", moving(24), 10)
    write_gif(root / "short.gif", moving(12), 10)
    train, held_out = (Dataset(config(root, held_out=0.1), split) for split in ("train", "held_out"))
    assert [(p.name, p.first, p.last) for p in train.parts] == [("long.gif", 0, 19), ("short.gif", 0, 12)]
    assert [(p.name, p.first, p.last) for p in held_out.parts] == [("long.gif", 19, 24)]
    assert {round(edges(x).max()) for x in items(held_out)} == {23}
    assert max(edges(train.item(0, random.Random(n))["x"]).max() for n in range(99)) < 18.5


def test_nothing_held_out_is_said(tmp_path: Path) -> None:
    root = tmp_path / "v"
    root.mkdir()
    write_gif(root / "short.gif", moving(12), 10)
    held_out = Dataset(config(root, held_out=0.1), "held_out")
    assert len(held_out) == 0 and "held_out: nothing" in held_out.summary()[0]
