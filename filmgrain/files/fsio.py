"""The one module that writes into a run, so that a kill or a power loss at any moment leaves every artefact old or new.

A folder is staged beside its place as `.tmp-NAME-PID`, its files written and synced, `manifest.json` (size and SHA-256
of each file) written last, and only then renamed. No file points at the newest checkpoint: it is the last folder whose
manifest verifies.
"""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST = "manifest.json"
TEMPORARY = ".tmp-"
READ = (".safetensors", ".json", ".toml")  # kinds of files by which a folder could be read as another than was saved


class Damaged(Exception):
    """A folder is not what its manifest says: one line with the file, what was found and what was expected."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(reason)
        self.folder = folder


class Locked(Exception):
    """Another process writes into this run."""


class Newest(NamedTuple):
    folder: Path | None  # the last folder that verifies
    refused: list[Damaged]  # why each later one does not


def point(name: str) -> None:
    """A named moment between two effects on the disk; does nothing. Tests put a kill in its place."""


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write into, which on leaving becomes `folder` with its manifest; on an error, nothing comes of it."""
    staging = _temporary(folder)
    shutil.rmtree(staging, ignore_errors=True)
    make(folder.parent)
    staging.mkdir()
    try:
        point("save.open")
        yield staging
        for path in sorted(staging.iterdir()):
            sync(path)
            point("save.synced")
        (staging / MANIFEST).write_text(_manifest(staging), encoding="utf-8")
        sync(staging / MANIFEST)
        point("save.manifest")
        _sync_folder(staging)
        if folder.exists():  # saved before, but it is not known to be on the disk
            remove(folder)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    point("save.renamed")
    _sync_folder(folder.parent)
    point("save.done")


def verify(folder: Path) -> None:
    """Reads every file of a staged folder again; raises `Damaged` at the first that differs from the manifest."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json.loads(text)
        if not manifest or text != _canonical(manifest):
            raise ValueError("not as it was written")
        expected = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in manifest.items()}
    except FileNotFoundError:
        raise Damaged(folder, f"{folder / MANIFEST} is missing; the folder has lost it or was never finished") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise Damaged(
            folder, f"{folder / MANIFEST} is no manifest ({error}); it was changed after it was saved"
        ) from None
    for name, (size, digest) in expected.items():
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            raise Damaged(folder, f"{path} is missing; the manifest lists it with {size} bytes")
        if (found := path.stat().st_size) != size:
            raise Damaged(folder, f"{path} has {found} bytes; the manifest says {size}")
        if (found_digest := _sha256(path)) != digest:
            raise Damaged(folder, f"{path} has sha256 {found_digest[:12]}…; the manifest says {digest[:12]}…")
    for path in sorted(folder.iterdir()):
        if path.suffix in READ and path.name not in {*expected, MANIFEST} and not path.name.startswith("."):
            raise Damaged(folder, f"{path} is not in the manifest; take away what was put there")


def newest(checkpoints: Path) -> Newest:
    """The last folder (by name) in `checkpoints` that verifies, and why each later one was refused."""
    refused: list[Damaged] = []
    for folder in reversed(staged_folders(checkpoints)):
        try:
            verify(folder)
        except Damaged as error:
            refused.append(error)
        else:
            return Newest(folder, refused)
    return Newest(None, refused)


def make(folder: Path) -> None:
    """A folder with all those it lies in; those that are new are on the disk by name."""
    if folder.is_dir():
        return
    make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def staged_folders(parent: Path) -> list[Path]:
    """The finished folders `step-…` in `parent`, verified or not, oldest first."""
    return sorted(path for path in parent.glob("step-*") if path.is_dir())


def remove(folder: Path) -> None:
    """Deletes a folder; killed half-way, it leaves a stale temporary and no damaged folder."""
    doomed = _temporary(folder)
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    point("remove.renamed")
    shutil.rmtree(doomed)
    point("remove.done")


def set_aside(folder: Path) -> Path:
    """Renames a damaged folder so that none takes it for a checkpoint, and the user may still look at it."""
    aside = folder.with_name(f"damaged-{folder.name}-{os.getpid()}")
    return folder.rename(aside)


def clean(folder: Path) -> None:
    """Deletes what a killed process left half-written in this folder itself. Only under the run's lock."""
    for path in folder.glob(f"{TEMPORARY}*-*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Replaces a file's text at once: a reader sees the old or the new, never a part."""
    make(path.parent)
    temporary = _temporary(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        point("text.synced")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def append_jsonl(path: Path, row: dict[str, Any]) -> None:
    """Appends one line in a single write, so that rows of a killed process are whole but for the last."""
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        data = line.encode()
        if (written := os.write(file, data)) < len(data):  # a full disk: the torn row must not swallow the next one
            os.write(file, b"\n")
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes of a row were written", str(path))
    finally:
        os.close(file)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; what is none, as a last line torn by a kill, is left out; a missing file has none."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def truncate_jsonl(path: Path, step: int) -> None:
    """Drops rows beyond `step`, which a resumed run writes again."""
    rows = [row for row in read_jsonl(path) if row.get("step", 0) <= step]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Holds the run for this process; released by the system should it die. A second process gets `Locked`."""
    make(run)
    file = os.open(run / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(file)
    try:
        try:
            _take(file)
        except OSError:
            os.lseek(file, 0, os.SEEK_SET)
            owner = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            raise Locked(f"{run} is in use by process {owner}; wait for it, stop it, or use another run") from None
        os.lseek(file, 0, os.SEEK_SET)
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        yield
    finally:
        if file in _held:
            _held.discard(file)
            os.close(file)


_held: set[int] = set()  # lock files open in this process


def _leave_locks_to_the_parent() -> None:
    """In a forked worker: it shares the parent's lock and, outliving it, would keep the run locked."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks_to_the_parent)


def sync(path: Path) -> None:
    """Waits until the file's bytes are on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        os.lseek(file, 1 << 30, os.SEEK_SET)  # a byte beyond the text, since Windows locks against reading too
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _sync_folder(folder: Path) -> None:
        """Windows cannot open a folder; its file system journals the rename."""

else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _temporary(path: Path) -> Path:
    return path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}"


def _manifest(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    return _canonical({path.name: {"size": path.stat().st_size, "sha256": _sha256(path)} for path in files})


def _canonical(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
