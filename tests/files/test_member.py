"""Files inside of a tar are read as files on the disk are."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from samples import make_pictures, make_video

from filmgrain.files.member import Member
from filmgrain.files.video import Unreadable, probe, read


def packed(path: Path, content: dict[str, bytes]) -> list[Member]:
    """A tar of these files, and its members."""
    with tarfile.open(path, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with tarfile.open(path) as tar:
        return [Member(path, info.name, info.offset_data, info.size) for info in tar]


def test_a_member_is_read_like_its_file(tmp_path: Path, moving: np.ndarray) -> None:
    files = [
        make_pictures(tmp_path / "s.png", moving[:1], "PNG"),
        make_pictures(tmp_path / "a.gif", moving, "GIF"),
        make_video(tmp_path / "v.mp4", moving, "mp4", "libx264", "yuv420p"),
    ]
    members = packed(tmp_path / "x.tar", {path.name: path.read_bytes() for path in files})
    for path, member in zip(files, members, strict=True):
        assert probe(member) == probe(path)
        clip, expected = read(member), read(path)
        assert np.array_equal(clip.frames, expected.frames) and np.array_equal(clip.times, expected.times)
        assert clip.duration == expected.duration


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"nothing known", "not a known kind"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "header is damaged"),
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path: Path, content: bytes, reason: str) -> None:
    (member,) = packed(tmp_path / "x.tar", {"deep/a.png": content})
    with pytest.raises(Unreadable, match=rf"x.tar/deep/a.png: .*{reason}"):
        read(member)


def test_an_archive_that_was_cut(tmp_path: Path) -> None:
    (member,) = packed(tmp_path / "x.tar", {"a.png": b"x" * 5000})
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:1000])
    with pytest.raises(Unreadable, match=r"is cut short: 488 of 5,000 bytes"):
        probe(member)
