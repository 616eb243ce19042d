"""A shard from a stranger: what does not lie in it as bytes of its own is refused by name, and nothing is written."""

import io
import random
import resource
import tarfile
from pathlib import Path

import pytest
from archives import png

from filmgrain.data import stream, tar_index


def hostile(path: Path, *members: tarfile.TarInfo) -> Path:
    """A good picture, then these, then another good one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info in (named("a.png"), *members, named("z.png")):
            if info.isreg():
                content = png(1 if info.name == "a.png" else 2)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                tar.addfile(info)
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **settings: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    for setting, value in settings.items():
        setattr(info, setting, value)
    return info


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (named("/etc/cron.d/x.png"), "has a path that leads out of the shard"),
        (named("../../x.png"), "has a path that leads out of the shard"),
        (named("a/../../x.png"), "has a path that leads out of the shard"),
        (named("x.png", tarfile.SYMTYPE, "/etc/passwd"), "is a link, and no file with bytes of its own"),
        (named("x.png", tarfile.LNKTYPE, "a.png"), "is a link, and no file with bytes of its own"),
        (named("x.png", tarfile.CHRTYPE, devmajor=1, devminor=5), "is a special file"),
        (named("x.png", tarfile.BLKTYPE, devmajor=8), "is a special file"),
        (named("x.png", tarfile.FIFOTYPE), "is a special file"),
        (named("x.png", tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    ],
    ids=["absolute", "up", "up inside", "symlink", "hardlink", "character", "block", "fifo", "sparse"],
)
def test_a_member_that_is_no_file_of_the_shard(tmp_path: Path, member: tarfile.TarInfo, says: str) -> None:
    found = tar_index.build(hostile(tmp_path / "x.tar", member))
    assert [row.name for row in found.rows] == ["a.png", "z.png"]
    ((name, reason),) = found.refused
    assert name == member.name and reason.startswith(says)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar"]
    data = stream.Dataset(stream.Config(folder=str(tmp_path), height=8, width=8, held_out=0.0))
    assert len(data) == 2 and len(data.refused) == 1 and data.item(1, random.Random(0))["source"] == "x.tar/z.png"


def header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    """A header of ustar whose size field may say anything."""
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block = bytearray(name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + b"00000000000\0")
    block += b" " * 8 + kind + bytes(100) + b"ustar\x0000" + bytes(247)
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"], ids=["pax", "global pax", "long name"])
def test_a_header_as_long_as_it_says_is_not_read(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(header(b"long", 1 << 32, kind))
        file.truncate(5 << 30)  # a sparse file of zeros: it costs no disk, and reading it would cost 4 GiB of memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = tar_index.build(path)
    assert not found.rows and "header of 4,294,967,296 bytes" in found.refused[0][1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("size", [(1 << 30) + 1, 1 << 50], ids=["over the limit", "over the file"])
def test_a_member_that_claims_too_much(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(header(b"x.png", size) + png(1))
        file.truncate(2 << 30)
    found = tar_index.build(path)
    assert not found.rows and found.refused[0] == ("x.png", f"has {size:,} bytes, and 1,073,741,824 are the most")


def test_an_index_that_points_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile(tmp_path / "s" / "x.tar")
    config = stream.Config(folder=str(tmp_path / "s"), height=8, width=8, held_out=0.0)
    (index,) = {shard.index for shard in stream.Dataset(config).shards}
    text = index.read_text()
    for damaged in (text.replace("[", "[[", 1), text.replace('["a.png", 512', '["a.png", -512'), text[:-30]):
        index.write_text(damaged)
        data = stream.Dataset(config)  # it is made again
        assert len(data) == 2 and index.read_text() == text
    index.write_text(text.replace('["a.png", 512', '["a.png", 513'))
    assert stream.Dataset(config).item(0, random.Random(0))["source"] == "x.tar/z.png"
    assert "x.tar: a.png is not what its index says" in capsys.readouterr().err
