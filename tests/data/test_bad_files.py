"""A bad file never stops a run, nor does the decoder that dies of it."""

import json
import os
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_folder import config
from moving_square import moving
from PIL import Image

from filmgrain.data import cache, prepare
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


def test_a_decoder_whose_parent_is_gone_ends_in_silence(tmp_path: Path) -> None:
    scaled = {"root": str(tmp_path), "height": 8, "width": 8, "background": [0, 0, 0]}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        command = [sys.executable, "-W", "ignore", "-m", "filmgrain.data.decode"]
        ended = subprocess.run(command, input=json.dumps(scaled), stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
