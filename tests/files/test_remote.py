"""URLs: what is one, what is listed, tried again and given up, and what is said without the packages."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from filmgrain.files import remote


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which are not waited."""
    waited: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket/shards", True),
        ("https://host/a/", True),
        ("filecache::s3://bucket", True),
        ("C:\\clips", False),
        ("/clips", False),
        ("clips", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_what_is_a_url(text: str, url: bool) -> None:
    assert remote.is_url(text) == url


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a folder with two files and a folder in it."""
    url = f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path}"
    fs, path = fsspec.core.url_to_fs(url)
    fs.makedirs(f"{path}/deeper", exist_ok=True)
    for name, content in {"b.tar": b"0123456789", "a.tar": b"a", "deeper/c.tar": b"c"}.items():
        fs.pipe(f"{path}/{name}", content)
    return url


def test_files_are_listed_and_read(place: str, tmp_path: Path) -> None:
    assert [url.rpartition("/")[2] for url in remote.listed(place)] == ["a.tar", "b.tar"]
    url = remote.listed(place)[1]
    assert remote.state(url)[0] == 10 and remote.state(url)[1]
    assert remote.read(url) == b"0123456789" and remote.read_part(url, 3, 4) == b"3456"
    assert remote.read_part(url, 8, 9) == b"89"
    remote.fetch(url, tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"0123456789"
    with pytest.raises(remote.Missing, match=r"/no.tar: nothing is there"):
        remote.read(remote.joined(place, "no.tar"))


class Failing:
    def __init__(self, times: int) -> None:
        self.times = times

    def cat_file(self, path: str) -> bytes:
        self.times -= 1
        if self.times >= 0:
            raise ConnectionResetError("the line is\ndown")
        return b"here"


@pytest.mark.parametrize("times", [0, 1, remote.TRIES - 1])
def test_what_fails_is_tried_again(times: int, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    fs = Failing(times)
    monkeypatch.setattr(remote, "_filesystem", lambda url: (fs, url))
    assert remote.read("s3://x") == b"here"
    assert waits == [remote.WAIT * 2**attempt for attempt in range(times)]


def test_in_the_end_it_is_named(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    fs = Failing(100)
    monkeypatch.setattr(remote, "_filesystem", lambda url: (fs, url))
    with pytest.raises(remote.Unreachable) as error:
        remote.read("s3://bucket/x.tar")
    tries = f"cannot be read after {remote.TRIES} tries (the line is down)"
    assert str(error.value) == f"s3://bucket/x.tar: {tries}; check the network, and go on with a run by --resume"
    assert fs.times == 100 - remote.TRIES and len(waits) == remote.TRIES - 1


@pytest.mark.parametrize("module", ["fsspec.core", "aiohttp"])
def test_without_a_package_it_says_which_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(remote.Unreachable, match=rf"{module.partition('.')[0]}.*pip install 'filmgrain\[remote\]'"):
        remote.read("http://127.0.0.1:1/x.tar")


def test_an_unknown_protocol() -> None:
    with pytest.raises(remote.Unreachable, match=r"Protocol not known: odd; expected a URL that fsspec knows"):
        remote.read("odd://x")


def test_nothing_of_fsspec_is_imported_before_a_url() -> None:
    code = "import sys, filmgrain.files.remote, filmgrain.data.stream; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
