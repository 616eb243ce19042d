"""Videos from a folder: formats, windows, crops, settings."""

import math
import random
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_folder import config, edges, items
from moving_square import DARK, moving, write_frames
from PIL import Image

from filmgrain.data import image_folder, video_folder
from filmgrain.data.loader import Loader
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif, write_mp4


def test_all_formats_are_found_in_natural_order(folder: Path) -> None:
    dataset = Dataset(config(folder))
    assert [part.name for part in dataset.content.parts] == [
        "clip2.gif", "clip10.gif", "deep/a.mp4", "deep/er/b.webp", "deep/er/c.webm", "shots/first",
    ]  # fmt: skip
    assert [part.last for part in dataset.content.parts] == [20, 6, 40, 12, 15, 11]
    assert not dataset.refused
    assert dataset.listing.ignored == {".txt": 1} and len(dataset.listing.stills) == 2 + 11


def test_an_epoch_counts_long_clips_more_often(folder: Path) -> None:
    assert Dataset(config(folder)).content.items == [4, 1, 8, 2, 3, 2]
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
    for n, part in enumerate(dataset.content.parts):
        for draw in range(5):
            travelled = np.diff(edges(dataset.item(sum(dataset.content.items[:n]), random.Random(draw))["x"]))
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


def test_items_tell_their_pace(folder: Path) -> None:
    """clip10.gif has 6 frames at 5 a second, a.mp4 40 at 25 ..."""
    dataset = Dataset(config(folder, stride=(1, 2)))
    paces = {}
    for n in range(60):
        item = dataset.item(n % len(dataset), random.Random(n))
        paces.setdefault(item["source"], set()).add((item["frame_skip"], round(item["fps"], 1)))
    assert paces["clip10.gif"] == {(1, 5.0), (2, 2.5)} and paces["deep/a.mp4"] == {(1, 25.0), (2, 12.5)}
    assert Dataset(config(folder, fps=12.0)).item(0, random.Random(0))["fps"] == 12
