"""From files to new files through the real entry point: train, resume, sample, show."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from filmgrain import runs
from filmgrain.cli import curve
from filmgrain.files import fsio
from filmgrain.files.encode import read_recipe
from filmgrain.files.fsio import read_jsonl
from filmgrain.files.video import probe
from filmgrain.interop.video_diffusion_pytorch import their_name
from filmgrain.networks import unet3d
from filmgrain.recipe import load
from filmgrain.training.checkpoint import read_state


def test_from_gifs_to_new_gifs(run, clips, cheap):
    code, out, err = run("train", clips, "--steps", "3", "--set", "data.frames=4", *cheap)
    assert (code, err) == (0, "")
    assert "height=16, width=24: " in out  # what was chosen, and why
    assert "12 windows of 6 clips" in out and "[broken].gif" in out
    assert "next: filmgrain sample runs/clips-00" in out
    first = Path("runs/clips-00")
    assert load(first / "recipe.toml").train.steps == 3
    assert any("loss" in row for row in read_jsonl(first / "metrics.jsonl"))

    code, out, err = run("train", "--resume", "--run", str(first), "--steps", "5")
    assert (code, err) == (0, "") and "resumed at step 3" in out
    assert "resumed at step 5" in run("train", clips, "--resume", "--run", str(first), "--steps", "5").out
    preview = re.search(r"preview: (.*step-00000005.gif)", out)
    assert preview and Path(preview[1]).is_file()

    typed = ["--count", "3", "--seed", "7", "--frames", "6", "--fps", "12", "--out", "new", "--batch", "2"]
    code, out, err = run("sample", str(first), *typed, "--steps", "3", "--set", "sample.options.eta=0.5")
    assert (code, err) == (0, "") and "NFE 3 a sample" in out
    assert {path.name for path in Path("new").iterdir()} == {
        *(f"{i:03d}.{kind}" for i in range(3) for kind in ("gif", "mp4")),
        *(f"sheet.{kind}" for kind in ("gif", "mp4", "png")),
    }
    for path in Path("new").glob("00*"):
        info, recipe = probe(path), read_recipe(path)
        assert (info.frames, info.height, info.width) == (6, 16, 24) and info.fps == pytest.approx(12, rel=0.05)
        assert recipe["run"] == str(first) and recipe["step"] == 5 and recipe["seed"] == 7
        assert (recipe["sampler"], recipe["steps"], recipe["options"]) == ("ddim", 3, {"eta": 0.5})
        assert path.stem == f"{recipe['index']:03d}"

    code, out, _ = run("show", "new/002.gif")
    assert code == 0 and 'sampler = "ddim"' in out and "index = 2" in out
    code, out, _ = run("show", str(first))
    assert code == 0 and "step 5" in out and "downs.0" in out and "[train]" in out


def test_a_run_from_before_a_setting_was_added_goes_on(run, tiny):
    assert run("train", tiny, "--run", "r").code == 0
    folder = Path("r/checkpoints/step-00000002")
    lines = (folder / "recipe.toml").read_text().splitlines(keepends=True)
    (folder / "recipe.toml").write_text("".join(line for line in lines if not line.startswith(("betas", "patch"))))
    (folder / fsio.MANIFEST).write_text(fsio._manifest(folder))
    assert "resumed at step 2" in run("train", "--resume", "--run", "r", "--steps", "3").out
    assert run("train", "--resume", "--run", "r", "--set", "train.betas=[0.9,0.95]").code == 3


def test_a_folder_of_pictures_gives_pictures(run, cheap_pictures):
    from PIL import Image

    Path("pictures").mkdir()
    for i in range(4):
        Image.new("RGB", (16, 16), (60 * i, 90, 120)).save(f"pictures/{i}.png")
    assert run("train", "pictures", "--run", "r", *cheap_pictures).code == 0
    assert run("sample", "r", "--count", "2", "--out", "new").code == 0
    assert {path.name for path in Path("new").iterdir()} == {"000.png", "001.png", "sheet.png"}
    assert read_recipe("new/001.png")["index"] == 1
    code, _, err = run("sample", "r", "--frames", "4")
    assert code == 2 and "images" in err


def test_the_next_run_gets_the_next_number(run, tiny):
    Path("runs/tiny-00").mkdir(parents=True)
    code, out, _ = run("train", tiny, "--steps", "1", "--set", "task.previews=0", "--set", "task.validation=0")
    assert code == 0 and "run: runs/tiny-01" in out and Path("runs/tiny-01/recipe.toml").is_file()


def test_samples_depend_on_seed_and_number_alone(run, trained):
    for out, count in (("a", "1"), ("b", "2")):
        assert run("sample", str(trained), "--count", count, "--out", out).code == 0
    strip = [read(Path(out, "000.gif")) for out in ("a", "b")]
    assert strip[0] == strip[1]
    assert read(Path("b/001.gif")) != strip[0]
    assert run("sample", str(trained), "--count", "1", "--out", "c", "--sampler", "ancestral").code == 0
    assert read_recipe("c/000.gif")["sampler"] == "ancestral"
    assert run("sample", str(trained), "--count", "1", "--out", "d", "--weights", "raw").code == 0


def read(path: Path) -> bytes:
    from filmgrain.files.video import read

    return read(path).frames.tobytes()


def test_plan_names_every_file_and_writes_nothing(run, clips, cheap):
    before = {path: path.stat().st_mtime_ns for path in Path(clips).rglob("*")}
    code, out, err = run("plan", clips, *cheap)
    assert (code, err) == (0, "")
    assert all(f"{i}.gif" in out for i in range(6))
    assert "[broken].gif: " in out and "1 refused" in out and "1 .txt" in out
    assert "24x16" in out and "epochs of" in out and "parameters" in out and " GB at most" in out
    assert {path: path.stat().st_mtime_ns for path in Path(clips).rglob("*")} == before
    assert not Path("runs").exists()


def test_plan_of_a_recipe(run, tiny):
    code, out, err = run("plan", tiny, "--set", "train.batch=2")
    assert (code, err) == (0, "")
    assert "moving shapes: " in out and "a step of 2 items" in out and "chosen" not in out
    assert out.endswith(f"next: filmgrain train {tiny} --set train.batch=2\n")


def test_plan_does_not_try_what_cannot_fit(run, clips, cheap, monkeypatch):
    """A hundred thousand frames would fill any memory; the shapes alone tell."""
    monkeypatch.setattr("filmgrain.cli.probe.probe", lambda recipe: pytest.fail("it tried"))
    code, out, err = run("plan", clips, *cheap, "--set", "data.frames=100000")
    assert code == 0, err
    assert "a step of 2 items would keep" in out and "lower" in out and "data.frames" in out


def test_plan_shortens_long_lists(run, clips, cheap, monkeypatch):
    monkeypatch.setattr("filmgrain.cli.plan.SHOWN", 2)
    out = run("plan", clips, *cheap).out
    assert "... and 4 more" in out and "4.gif" not in out
    assert "4.gif" in run("plan", clips, *cheap, "--all").out


def test_show_a_recipe(run, tiny):
    code, out, _ = run("show", tiny)
    assert code == 0 and "[diffusion.schedule]" in out
    rows = [line.split() for line in out.splitlines() if line.startswith(" ")]
    shapes = {row[0]: " ".join(row[2:-1]) for row in rows}
    assert shapes["downs.1"] == "4 x 16 x 4 x 4"  # frames are folded into the batch
    assert shapes["F"].endswith("1 x 3 x 4 x 8 x 8")


def test_show_allocates_no_weights(run, tiny):
    Path("huge.toml").write_text(Path(tiny).read_text().replace("width = 8\nmults", "width = 20000\nmults"))
    code, out, _ = run("show", "huge.toml")
    assert code == 0 and re.search(r"\d+(,\d{3}){3,} parameters", out)


def test_a_run_is_moved(run, trained):
    shutil.copytree(trained, "elsewhere")
    assert run("sample", "elsewhere", "--count", "1").code == 0
    assert len(list(Path("elsewhere/samples").glob("*/000.gif"))) == 1


def test_a_checkpoint_of_video_diffusion_pytorch(run):
    config = unet3d.Config(width=8, mults=(1, 2), heads=2, head_width=8, steps=True)
    weights = unet3d.Network(config).state_dict()
    torch.save({their_name(k): v[:, :, None] if v.ndim == 4 else v for k, v in weights.items()}, "theirs.pt")
    code, out, err = run("import", "video-diffusion-pytorch", "theirs.pt", "run", "--size", "8", "--frames", "4")
    assert (code, err) == (0, "") and f"{sum(v.numel() for v in weights.values()):,} parameters" in out
    assert run("sample", "run", "--count", "1", "--steps", "2", "--out", "new").code == 0
    assert probe("new/000.gif").frames == 4


def test_an_import_keeps_its_averages_and_has_steps_left(run, tmp_path):
    config = unet3d.Config(width=8, mults=(1, 2), heads=2, head_width=8, steps=True)
    theirs = {their_name(k): v for k, v in unet3d.Network(config).state_dict().items()}
    theirs = {k: v[:, :, None] if v.ndim == 4 else v for k, v in theirs.items()}
    torch.save({"step": 100_000, "model": theirs, "ema": theirs}, "theirs.pt")
    assert run("import", "video-diffusion-pytorch", "theirs.pt", "run", "--size", "8", "--frames", "4").code == 0
    state = read_state(tmp_path / "run/checkpoints/step-00100000")
    assert state.step == state.ema_updates == 100_000
    assert load("run/recipe.toml").train.steps == 120_000


def test_samples_are_of_one_checkpoint(run, trained, monkeypatch):
    """Which is read once: a run that is still training may write another meanwhile."""
    asked, newest = [], runs.newest
    monkeypatch.setattr(runs, "newest", lambda folder: asked.append(folder) or newest(folder))
    assert run("sample", str(trained), "--count", "1", "--out", "new").code == 0
    assert len(asked) == 1


def test_a_signal_saves_and_the_run_goes_on(run, tiny):
    command = [sys.executable, "-m", "filmgrain", "train", tiny, "--run", "run", "--set", "train.log_every=1"]
    process = subprocess.Popen(
        [*command, "--steps", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("step 1/"):
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143 and "go on with --resume" in out
    assert err == "filmgrain: stopped by SIGTERM\n"
    step = int(re.search(r"step (\d+) is saved", out)[1])
    assert f"resumed at step {step}" in run("train", "--resume", "--run", "run", "--steps", str(step + 1)).out


def test_a_curve_is_drawn_from_the_rows_there_are(run, trained, tmp_path):
    code, _, err = run("curve", str(trained), "--out", str(tmp_path / "new" / "curve.png"))
    assert (code, err) == (0, "") and probe(tmp_path / "new" / "curve.png").width > 300
    assert run("curve", str(tmp_path)).code == 2
    assert curve.smoothed([1.0, 3.0, 5.0]) == [1.0, 3.0, 5.0]  # a twentieth of three rows is one
    assert curve.smoothed([0.0] * 39 + [2.0])[-1] == 1.0
