"""What lies in a folder: of what use it is, and what is said of the rest."""

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from clip_folder import config, edges
from moving_square import moving, write_frames
from PIL import Image

from filmgrain.data import NoData
from filmgrain.data.listing import look
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")

    def opened(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", opened)
    assert [(refused.path, refused.reason) for refused in look(tmp_path).refused] == [("a.gif", "Permission denied")]


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
    assert [part.name for part in dataset.content.parts] == ["shot 1/left", "with film/film.gif"]
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
