import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from filmgrain.files import fsio


def make(folder: Path, seed: int = 0) -> dict[str, bytes]:
    draw = random.Random(seed)
    content = {name: draw.randbytes(draw.randrange(1, 400)) for name in ("model", "ema", "state.json")}
    with fsio.staged(folder) as staging:
        for name, data in content.items():
            (staging / name).write_bytes(data)
    return content


def test_a_staged_folder_is_whole_and_verifies(tmp_path: Path) -> None:
    content = make(tmp_path / "step-1")
    assert {path.name: path.read_bytes() for path in (tmp_path / "step-1").iterdir() if path.name in content} == content
    fsio.verify(tmp_path / "step-1")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")
def test_nothing_is_named_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a power loss cannot break: files, manifest, folder, rename, parent."""
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noting_fsync(file: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))
        fsync(file)

    def noting_rename(path: Path, target: Path) -> Path:
        done.append(f"-> {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "rename", noting_rename)
    make(tmp_path / "step-1")
    staging = f".tmp-step-1-{os.getpid()}"
    assert done == ["ema", "model", "state.json", "manifest.json", staging, "-> step-1", tmp_path.name]


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), fsio.staged(tmp_path / "step-1") as staging:
        (staging / "model").write_bytes(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def damage(folder: Path, draw: random.Random) -> str:
    """One random injury to one random file."""
    path = draw.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    kind = draw.choice(["flip", "flip", "truncate", "delete", "zero", "append", "swap"])
    if kind == "flip":
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "truncate":
        del data[draw.randrange(len(data)) :]
    elif kind == "zero":
        start = draw.randrange(len(data))
        data[start : start + 16] = bytes(len(data[start : start + 16])).replace(b"\0", b"\1")
    elif kind == "append":
        data += draw.randbytes(1)
    elif kind == "swap":
        data = bytearray(draw.randbytes(len(data)))
    if kind == "delete":
        path.unlink()
    else:
        path.write_bytes(data)
    return f"{kind} {path.name}"


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_found_and_the_older_folder_is_used(tmp_path: Path, seed: int) -> None:
    make(tmp_path / "step-1")
    make(tmp_path / "step-2", seed)
    draw = random.Random(seed)
    what = damage(tmp_path / "step-2", draw)
    found = fsio.newest(tmp_path)
    assert found.folder == tmp_path / "step-1", what
    assert [error.folder for error in found.refused] == [tmp_path / "step-2"]
    assert "\n" not in str(found.refused[0])
    assert str(tmp_path / "step-2") in str(found.refused[0])
    damage(tmp_path / "step-1", draw)
    assert fsio.newest(tmp_path).folder is None


@pytest.mark.parametrize(
    "manifest", ["", "{}", "[]", "null", '{"../x": {"size": 1, "sha256": ""}}', "[" * 100_000, "\xff"]
)
def test_a_hostile_manifest_is_damage(tmp_path: Path, manifest: str) -> None:
    make(tmp_path / "step-1")
    (tmp_path / "step-1" / fsio.MANIFEST).write_text(manifest, encoding="latin-1")
    with pytest.raises(fsio.Damaged):
        fsio.verify(tmp_path / "step-1")


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    make(tmp_path / "step-1")
    (tmp_path / "x").write_bytes(b"")
    manifest = {"../x": {"size": 0, "sha256": fsio._sha256(tmp_path / "x")}}
    (tmp_path / "step-1" / fsio.MANIFEST).write_text(fsio._canonical(manifest))
    with pytest.raises(fsio.Damaged, match=r"\.\./x"):
        fsio.verify(tmp_path / "step-1")


def test_rows_survive_a_torn_line_and_are_cut_at_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        fsio.append_jsonl(path, {"step": step, "name": "é"})
    with open(path, "ab") as file:
        file.write(b'{"step": 2, "na')
    assert [row["step"] for row in fsio.read_jsonl(path)] == [1, 2, 3, 4, 5]
    fsio.truncate_jsonl(path, 3)
    assert fsio.read_jsonl(path) == [{"step": step, "name": "é"} for step in (1, 2, 3)]
    with pytest.raises(ValueError, match="JSON"):
        fsio.append_jsonl(path, {"loss": float("nan")})


def test_a_text_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsio.write_text(tmp_path / "recipe.toml", "old")

    def stop(name: str) -> None:
        raise InterruptedError

    monkeypatch.setattr(fsio, "point", stop)
    with pytest.raises(InterruptedError):
        fsio.write_text(tmp_path / "recipe.toml", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_second_process_is_told_who_holds_the_run(tmp_path: Path) -> None:
    code = "import sys, pathlib; from filmgrain.files import fsio\nwith fsio.lock(pathlib.Path(sys.argv[1])): pass"
    with fsio.lock(tmp_path):
        second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
        assert second.returncode != 0
        assert f"Locked: {tmp_path} is in use by process {os.getpid()};" in second.stderr
    with fsio.lock(tmp_path):
        pass


def test_a_worker_that_outlives_its_parent_does_not_hold_the_run(tmp_path: Path) -> None:
    code = (
        "import os, sys, time, pathlib; from filmgrain.files import fsio\n"
        "with fsio.lock(pathlib.Path(sys.argv[1])):\n"
        "    if os.fork() == 0: print(os.getpid(), flush=True)\n"
        "    time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        with fsio.lock(tmp_path):
            os.kill(worker, 0)  # still there
    finally:
        os.kill(worker, signal.SIGKILL)
        parent.stdout.close()


def test_cleaning_takes_only_what_was_half_written(tmp_path: Path) -> None:
    make(tmp_path / "step-1")
    (tmp_path / ".tmp-step-2-77").mkdir()
    (tmp_path / ".tmp-step-2-77" / "model").write_bytes(b"half")
    (tmp_path / ".tmp-recipe.toml-77").write_text("half")
    (tmp_path / "mine.txt").write_text("keep")
    fsio.clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "step-1"]


def test_removal_broken_off_leaves_no_damaged_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "step-1")

    def stop(name: str) -> None:
        raise InterruptedError

    monkeypatch.setattr(fsio, "point", stop)
    with pytest.raises(InterruptedError):
        fsio.remove(tmp_path / "step-1")
    assert fsio.newest(tmp_path) == (None, [])
    fsio.clean(tmp_path)
    assert list(tmp_path.iterdir()) == []
