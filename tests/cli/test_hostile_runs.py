"""Runs and checkpoints from strangers, their manifests in order: refused in one line, before memory is taken."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from filmgrain.files import fsio, tensors
from filmgrain.files.encode import write_gif


def recipe(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / "recipe.toml").read_text()
        assert old in text
        (folder / "recipe.toml").write_text(text.replace(old, new))

    return change


def written(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def state(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "state.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def header(**fields: object) -> Callable[[Path], None]:
    """The header of ema.safetensors with fields of its first tensor changed."""

    def change(folder: Path) -> None:
        path = folder / "ema.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + size])
        table[min(table, key=lambda name: name == "__metadata__")] |= fields
        raw = json.dumps(table).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])

    return change


def renamed(folder: Path) -> None:
    found = tensors.load(folder / "ema.safetensors")
    tensors.save(folder / "ema.safetensors", {f"../../{name}": tensor for name, tensor in found.items()})


def not_finite(folder: Path) -> None:
    found = tensors.load(folder / "ema.safetensors")
    tensors.save(folder / "ema.safetensors", {name: tensor * torch.nan for name, tensor in found.items()})


def pipe(folder: Path) -> None:
    (folder / "ema.safetensors").unlink()
    os.mkfifo(folder / "ema.safetensors")


def link(folder: Path) -> None:
    (folder / "ema.safetensors").rename(folder.parent / "elsewhere")
    (folder / "ema.safetensors").symlink_to("../elsewhere")


def scheduled(folder: Path) -> None:
    before, _, rest = (folder / "recipe.toml").read_text().partition("[diffusion.schedule]")
    after = rest[rest.index("\n[") :]
    schedule = '[diffusion.schedule]\nname = "linear_beta"\nsteps = 1000000000000\n'
    (folder / "recipe.toml").write_text(before + schedule + after)


CHANGES: dict[str, tuple[int, str, Callable[[Path], None]]] = {
    "a module of theirs": (2, "FILMGRAIN_MODULES=strangers", recipe('name = "unet3d"', 'name = "strangers.code"')),
    "a module of Python's": (2, '"email.charset"', recipe('name = "unet3d"', 'name = "email.charset"')),
    "a sampler of theirs": (2, "FILMGRAIN_MODULES=strangers", recipe('sampler = "ddim"', 'sampler = "strangers.code"')),
    "wider than its weights": (65, "does not fit its weights", recipe("width = 8 ", "width = 16384 ")),
    "10^12 wide": (65, "does not fit its weights", recipe("width = 8 ", "width = 1000000000000 ")),
    "9,000 levels": (65, "does not fit its weights", recipe("mults = [1, 2]", f"mults = {[1] * 9000}")),
    "10^12 noise levels": (2, "over 1,000,000", scheduled),
    "not a number": (2, "is not finite", recipe("\nlr = ", "\nlr = nan #")),
    "a number of 5,000 digits": (2, "recipe.toml", recipe("seed = 0", f"seed = {'9' * 5000}")),
    "a key twice": (2, "recipe.toml", recipe("seed = 0", "seed = 0\nseed = 1")),
    "nested without end": (2, "nested hundreds deep", written("recipe.toml", b"a = " + b"[" * 100_000)),
    "no text": (2, "no text", written("recipe.toml", bytes(range(256)))),
    "a state that is a list": (65, "state.json", written("state.json", b"[]")),
    "a state nested without end": (65, "state.json", written("state.json", b"[" * 100_000)),
    "a state without a format": (65, "state.json", written("state.json", b"{}")),
    "a format that is text": (65, "state.json", state(format="1")),
    "a step that is text": (65, "state.json", state(step="1")),
    "offsets that overlap": (65, "ema.safetensors", header(data_offsets=[0, 8])),
    "10^12 parameters": (65, "ema.safetensors", header(shape=[10**12])),
    "a negative shape": (65, "ema.safetensors", header(shape=[-1])),
    "a dtype that is not": (65, "ema.safetensors", header(dtype="O")),
    "a huge header": (65, "ema.safetensors", written("ema.safetensors", (2**62).to_bytes(8, "little") + b"{}")),
    "names that lead out": (65, "does not fit the model", renamed),
    "weights that are no numbers": (76, "NaN", not_finite),
    "a pipe": (65, "ema.safetensors", pipe),
    "a link": (65, "ema.safetensors", link),
}  # fmt: skip


def passed_on(trained: Path, change: Callable[[Path], None]) -> None:
    """A copy of a run, changed, with a manifest that says so."""
    shutil.copytree(trained, "run")
    newest = sorted(Path("run/checkpoints").iterdir())[-1]
    for path in Path("run/checkpoints").iterdir():
        if path != newest:
            shutil.rmtree(path)
    kept = fsio._manifest(newest)
    (newest / fsio.MANIFEST).unlink()
    change(newest)
    irregular = any(not path.is_file() or path.is_symlink() for path in newest.iterdir())
    (newest / fsio.MANIFEST).write_text(kept if irregular else fsio._manifest(newest))


@pytest.mark.parametrize("what", CHANGES)
def test_a_run_from_a_stranger(run, trained, monkeypatch, what):
    Path("strangers").mkdir()
    Path("strangers/code.py").write_text("open('proof', 'w').close()\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    code, says, change = CHANGES[what]
    passed_on(trained, change)
    outcome = run("sample", "run", "--count", "1", "--out", "out")
    assert outcome.code == code, outcome
    assert outcome.err.startswith("filmgrain: ") and outcome.err.count("\n") == 1, outcome.err
    assert says in outcome.err and len(outcome.err) < 1000
    assert not Path("proof").exists() and "strangers.code" not in sys.modules


@pytest.mark.parametrize(
    "manifest",
    [
        {"../../../outside": {"size": 0, "sha256": "0"}},
        {"/etc/hostname": {"size": 1, "sha256": "0"}},
        {"recipe.toml": {"size": 1e999, "sha256": "0"}},
        {"recipe.toml": {"size": -1, "sha256": "0"}},
        {"recipe.toml": [1, 2]},
        ["recipe.toml"],
        {},
    ],
    ids=["up", "absolute", "infinite", "negative", "a list inside", "a list", "nothing"],
)
def test_a_manifest_from_a_stranger(run, trained, manifest):
    shutil.copytree(trained, "run")
    for path in Path("run/checkpoints").iterdir():
        (path / fsio.MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    outcome = run("sample", "run", "--count", "1")
    assert outcome.code == 65 and "no usable checkpoint" in outcome.err and outcome.err.count("\n") == 1


@pytest.mark.parametrize("command", ["show", "report", "doctor"])
def test_rows_from_a_stranger(run, trained, command):
    """Figures that are none are passed over."""
    shutil.copytree(trained, "run")
    rows = [b"[]", b"1", b"[" * 100_000, b'{"step": "x"}', b'{"loss": "x", "step": {}}', b"\xff", b'{"step": 1e999}']
    with Path("run/metrics.jsonl").open("ab") as file:
        file.write(b"\n".join(rows) + b"\n")
    outcome = run(command, "run")
    assert outcome.code in (0, 1), outcome


def test_a_sample_from_a_stranger(run):
    """The recipe inside of a file is shown as text, and deep nesting is refused."""
    import numpy as np

    write_gif(Path("a.gif"), np.zeros((2, 8, 8, 3), np.uint8), 10, {"run": "\x1b[31m[bold]../../etc"})
    outcome = run("show", "a.gif")
    assert outcome.code == 0 and "\x1b" not in outcome.out and "[bold]" in outcome.out
    data = Path("a.gif").read_bytes()
    at = data.index(b"\x21\xfe")
    Path("b.gif").write_bytes(data[:at] + b"\x21\xfe" + (b"\xff" + b"[" * 255) * 400 + b"\0" + data[at:])
    outcome = run("show", "b.gif")
    assert outcome.code in (0, 65) and outcome.err.count("\n") <= 1
