"""A bad file never stops a run, nor does the decoder that dies of it."""

import inspect
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_folder import config
from moving_square import moving
from PIL import Image

from filmgrain.data import cache, decode, decoder, prepare
from filmgrain.data.loader import Loader
from filmgrain.data.video_folder import Dataset
from filmgrain.files.encode import write_gif


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


def forked(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]) -> None:
    """Decoding processes are copies of this one, `make` in the place of the real one."""
    monkeypatch.setattr(decoder, "forks", lambda: True)
    monkeypatch.setattr(decode, "make", make)


def spawned(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]) -> None:
    """Decoding processes are new Pythons, `make` in the place of the real one."""
    script = (
        "import sys, time, os; from pathlib import Path; from typing import Any\n"
        "from filmgrain.data import cache, decode\n"
        f"{inspect.getsource(make)}\n"
        f"decode.make = {make.__name__}; decode.main()"
    )
    popen = subprocess.Popen
    monkeypatch.setattr(decoder, "forks", lambda: False)
    monkeypatch.setattr(subprocess, "Popen", lambda args, **kw: popen([args[0], "-c", script], **kw))


def dangerous(path: Path, *rest: Any) -> Any:
    if path.name == "clip2.gif":
        os.kill(os.getpid(), 11)
    if path.name == "clip10.gif":
        time.sleep(60)
    return cache.make(path, *rest)


STARTED = pytest.mark.parametrize(
    "started",
    [pytest.param(forked, marks=pytest.mark.skipif(sys.platform != "linux", reason="is not forked")), spawned],
)


@STARTED
def test_a_decoder_that_dies_or_hangs_costs_one_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., None]
) -> None:
    """It dies of clip2.gif and never answers for clip10.gif."""
    started(monkeypatch, dangerous)
    monkeypatch.setattr(decoder, "PATIENCE", 4.0)
    monkeypatch.setattr(prepare, "LOOK", 0.1)
    paths = [folder / "clip2.gif", folder / "clip10.gif", folder / "deep" / "a.mp4"]
    crashed, hung, good = prepare.prepare(paths, config(folder).scaled, processes=2)
    assert crashed == "ends its decoder (code -11)" and hung == "takes over 4 s to decode"
    assert isinstance(good, cache.Entry) and len(good.times) == 40


@STARTED
def test_who_stops_does_not_wait_for_a_file_that_hangs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., None]
) -> None:
    started(monkeypatch, dangerous)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(
            [folder / "clip10.gif", folder / "deep" / "a.mp4"], config(folder).scaled, processes=2, progress=stop
        )
    assert len(list(cache.folder().glob("*.clip"))) == 1  # what hangs for a while is decoded behind that


@pytest.mark.skipif(sys.platform != "linux", reason="is not forked")
def test_a_copy_of_this_process_has_none_of_its_files_open(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a run would be held for as long as a file is decoded; and a pipe would never be seen to close."""

    def look(path: Path, digest: str, scaled: cache.Scaled) -> cache.Entry:
        places = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd") if int(number) > 2]
        opened = [os.readlink(place) for place in places if os.path.lexists(place)]  # the listing's own is closed
        (tmp_path / f"{path.name}.json").write_text(json.dumps(opened))
        return cache.make(path, digest, scaled)

    forked(monkeypatch, look)
    paths = [folder / "clip2.gif", folder / "clip10.gif", folder / "deep" / "a.mp4"]
    with (tmp_path / "lock").open("w"):
        assert all(
            isinstance(entry, cache.Entry) for entry in prepare.prepare(paths, config(folder).scaled, processes=3)
        )
    for path in paths:
        kinds = [name.partition(":")[0] for name in json.loads((tmp_path / f"{path.name}.json").read_text())]
        assert kinds == ["pipe", "pipe"], kinds


def test_a_decoder_whose_parent_is_gone_ends_in_silence(tmp_path: Path) -> None:
    scaled = {"root": str(tmp_path), "height": 8, "width": 8, "background": [0, 0, 0]}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        command = [sys.executable, "-W", "ignore", "-m", "filmgrain.data.decode"]
        ended = subprocess.run(command, input=json.dumps(scaled), stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
