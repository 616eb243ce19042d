"""Whatever is wrong: one line, the right exit code, nothing written, nothing lost."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest


def everything() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file() and ".cache" not in p.parts}


@pytest.fixture
def refused(run):
    """Runs a command that must fail with `code`, saying each of `says`, and leave every file as it was."""

    def refused(code: int, *arguments: str, says: tuple[str, ...] = ()) -> None:
        before = everything()
        outcome = run(*arguments)
        assert outcome.code == code, outcome
        assert outcome.err.startswith("filmgrain: ") and outcome.err.count("\n") == 1, outcome.err
        for text in says:
            assert text in outcome.err
        assert everything() == before

    return refused


def test_data(refused, clips):
    Path("empty").mkdir()
    Path("useless").mkdir()
    Path("useless/a.gif").write_bytes(b"GIF89a and nothing else")
    Path("useless/b.txt").write_text("text")
    for command in ("train", "plan"):
        refused(65, command, "empty", says=("empty", "0 videos"))
        refused(65, command, "useless", says=("useless", "1 refused"))
        refused(2, command, "missing", says=('"missing" is no folder, file or shipped recipe',))
        refused(2, command, "useless/a.gif", says=("a.gif is a file, and no recipe",))
        refused(2, command, "", says=("give a folder of videos or pictures, or a recipe",))


def test_a_folder_that_may_not_be_looked_into(refused, monkeypatch):
    Path("locked").mkdir()
    seen = os.stat

    def stat(path, *rest, **options):
        if Path(os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else "").parent.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return seen(path, *rest, **options)

    monkeypatch.setattr("os.stat", stat)
    for command in ("train", "plan"):
        refused(65, command, "locked", says=("locked holds no usable video",))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.stepz=5", 'did you mean "steps"?'),
        ("train.steps=many", "expected int (optimiser steps of the whole run)"),
        ("train.steps=0", "train.steps=0"),
        ("data.height=-8", "[data] "),
        ("data.frames=0", "[data] "),
        ("network.channels=1", "network.channels=1"),
        ("network.mults=[]", "[network] mults"),
        ("sample.sampler=dim", 'did you mean "ddim"?'),
        ("data.name=video_folder", "data.folder is missing"),
        ("train.steps", "expected KEY=VALUE"),
        ("train.lr=inf", "train.lr=inf is not finite; expected float"),
        ("network.steps=true", "set diffusion.schedule=linear_beta"),
        ("network.condition=5", "set network.condition=0"),
    ],
)
def test_settings(refused, tiny, setting, says):
    refused(2, "train", tiny, "--set", setting, says=("--set", says))


@pytest.mark.parametrize("device", ["cud", "cuda:99"])
def test_a_device_that_is_not_here(refused, tiny, device):
    refused(2, "train", tiny, "--run", "new", "--set", f"train.device={device}", says=(f'device="{device}"', "auto"))


def test_a_run_is_no_folder_of_files(refused, trained):
    for command in ("train", "plan"):
        refused(2, command, str(trained), says=("is a run", "filmgrain show", "--resume"))


def test_recipes(refused, tiny):
    Path("newer.toml").write_text("format = 99\n" + Path(tiny).read_text())
    Path("odd.toml").write_text(Path(tiny).read_text() + "[trian]\n")
    Path("torn.toml").write_text("[data")
    for command in ("train", "show"):
        refused(2, command, "newer.toml", says=("newer.toml", "newer version"))
        refused(2, command, "odd.toml", says=("odd.toml", 'did you mean "train"?'))
        refused(2, command, "torn.toml", says=("torn.toml",))
        refused(2, command, "missing.toml", says=("missing.toml",))
        refused(2, command, "no_such_recipe", says=("no_such_recipe",))


def test_where_to_train(refused, tiny, trained):
    shutil.copytree(trained, "run")
    Path("other").mkdir()
    Path("other/thesis.tex").write_text("years of work")
    refused(2, "train", tiny, "--run", "run", says=("--resume",))
    refused(2, "train", tiny, "--run", "other", says=("other files",))
    refused(2, "train", tiny, "--run", tiny, says=("is a file",))
    refused(2, "train", "run", says=("is a run", "--resume --run run"))
    refused(2, "train", says=("give a folder",))
    refused(2, "train", tiny, "--resume", says=("--run",))
    refused(3, "train", "--resume", "--run", "nowhere", says=("nowhere",))


def test_resume_with_another_recipe(refused, tiny, trained):
    shutil.copytree(trained, "run")
    refused(3, "train", tiny, "--resume", "--run", "run", "--set", "train.lr=0.5", says=("train.lr was",))
    refused(3, "train", "--resume", "--run", "run", "--set", "network.width=16", says=("network.width was 8",))
    refused(2, "train", ".", "--resume", "--run", "run", says=("run was not trained on a folder; leave out .",))


def test_a_locked_run(refused, trained):
    from filmgrain.files import fsio

    shutil.copytree(trained, "run")
    with fsio.lock(Path("run")):
        refused(4, "train", "--resume", "--run", "run", says=("in use",))


def test_runs_that_cannot_be_read(refused, trained):
    Path("empty").mkdir()
    refused(65, "sample", "missing", says=("missing",))
    for command in ("sample", "show"):
        refused(65, command, "empty", says=("empty is not a run",))
        shutil.copytree(trained, "run")
        for checkpoint in Path("run/checkpoints").iterdir():
            with (checkpoint / "ema.safetensors").open("r+b") as file:
                file.truncate(100)
        refused(65, command, "run", says=("no usable checkpoint", "copy one back"))
        refused(3, "train", "--resume", "--run", "run", says=("no usable checkpoint", "copy one back"))
        shutil.rmtree("run")


def test_a_run_of_a_newer_version(refused, trained):
    from filmgrain.files import fsio

    shutil.copytree(trained, "run")
    newest = sorted(Path("run/checkpoints").iterdir())[-1]
    about = json.loads((newest / "state.json").read_text()) | {"format": 99}
    with fsio.staged(newest.with_name("step-00000099")) as folder:
        for path in newest.glob("*.*"):
            if path.name != fsio.MANIFEST:
                shutil.copy(path, folder)
        (folder / "state.json").write_text(json.dumps(about))
    for command in ("sample", "show"):
        refused(65, command, "run", says=("format 99", "update filmgrain"))


def test_how_to_sample(refused, trained):
    run = str(trained)
    Path("file").write_text("mine")
    refused(2, "sample", run, "--out", "file", says=("file is a file",))
    refused(2, "sample", run, "--out", "file/new", says=("file is a file",))
    refused(2, "sample", run, "--set", "sample.options.eta=3", says=("eta=3 ",))
    refused(2, "sample", run, "--sampler", "os.path", says=("no sampler",))
    refused(2, "sample", run, "--sampler", "dim", says=('did you mean "ddim"?',))
    refused(2, "sample", run, "--set", "sample.options.gamma=1", says=('no option "gamma"',))
    refused(2, "sample", run, "--set", "train.lr=1", says=("only sample.*",))
    refused(2, "sample", run, "--weights", "best", says=('weights="best"',))
    refused(2, "sample", run, "--steps", "0")
    refused(2, "sample", run, "--frames", "-1")
    refused(2, "sample", run, "--height", "tall")
    refused(2, "sample", run, "--count", "0")


def test_a_folder_that_may_not_be_written_into_is_found_out_before_sampling(refused, trained, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)
    monkeypatch.setattr("filmgrain.generate.videos.generate", None)
    refused(74, "sample", str(trained), "--out", "new", says=(f"{Path.cwd()}: may not be written into; change",))


def test_more_steps_than_the_schedule_has(refused, run, tiny):
    settings = ["--set", "diffusion.schedule={name='linear_beta', steps=4}", "--set", "task.previews=0"]
    assert run("train", tiny, "--run", "run", "--steps", "1", *settings).code == 0
    refused(2, "sample", "run", "--steps", "5", says=("4 levels",))


def test_files_without_a_recipe(refused, clips):
    refused(65, "show", f"{clips}/1.gif", says=("no recipe",))
    refused(65, "show", f"{clips}/[broken].gif", says=("[broken].gif",))
    for command in ("show", "train"):
        refused(2, command, f"{clips}/notes.txt", says=("notes.txt is a file, and no recipe", "the folder"))


def test_import(refused, trained):
    Path("a.pt").write_text("not a checkpoint")
    refused(2, "import", "video-difusion", "a.pt", "new", says=('did you mean "video-diffusion-pytorch"?',))
    refused(2, "import", "video-diffusion-pytorch", "a.pt", str(trained), says=("exists",))
    refused(65, "import", "video-diffusion-pytorch", "missing.pt", "new", says=("missing.pt",))
    refused(65, "import", "video-diffusion-pytorch", "a.pt", "new", says=("a.pt",))
    refused(2, "import", "video-diffusion-pytorch", "a.pt", "new", "--size", "0")


def test_a_run_that_diverges(run, tiny):
    settings = ["--set", "train.lr=1e30", "--set", "train.warmup=0", "--set", "train.nonfinite_limit=2"]
    code, _, err = run("train", tiny, "--run", "run", "--steps", "9", *settings)
    assert code == 76 and "lower train.lr" in err and err.count("\n") == 1


def test_the_demo_writes_into_a_folder_of_its_own(run, clips):
    before = sorted(Path(clips).rglob("*"))
    assert run("demo", "--folder", clips).code == 2
    assert sorted(Path(clips).rglob("*")) == before


def test_a_demo_that_was_stopped_at_its_first_words_begins_again(run, monkeypatch):
    def stopped(options, see=None):
        raise KeyboardInterrupt

    Path("demo/words").mkdir(parents=True)
    monkeypatch.setattr("filmgrain.cli.sample.sample", stopped)
    assert run("demo").code == 130


def test_the_demo_trains_by_its_recipe_where_its_words_made_a_folder_of_that_name(run, monkeypatch):
    def trained(target="", **how):
        targets.append(Path(target))
        raise KeyboardInterrupt

    targets: list[Path] = []
    Path("demo/words").mkdir(parents=True)
    monkeypatch.setattr("filmgrain.cli.sample.sample", lambda options, see=None: None)
    monkeypatch.setattr("filmgrain.cli.train.train", trained)
    assert run("demo").code == 130
    assert [target.name for target in targets] == ["demo.toml"] and targets[0].is_file()


def test_guidance_without_anything_to_guide_by(refused, trained):
    refused(2, "sample", str(trained), "--scale", "3", says=("--scale 3", "--label"))
    refused(2, "sample", str(trained), "--label", "ring", says=("trained without labels",))
