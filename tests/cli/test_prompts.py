"""`filmgrain sample --prompt`: what is asked for is drawn, named and kept; what a model cannot read is said."""

import re
from pathlib import Path

import pytest
from tiny_recipe import tiny

from filmgrain import runs
from filmgrain.cli import main
from filmgrain.cli.wishes import slug
from filmgrain.files.encode import read_recipe
from filmgrain.files.video import read

WORDS = """
[conditions.label]
names = ["circle", "square", "triangle", "cross", "ring", "star"]
[conditions.words]
vocabulary = ["a", "red", "blue", "circle", "square", "moving", "left"]
length = 5
width = 8
layers = 1
"""


@pytest.fixture(scope="session")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step that reads captions, and labels; not to be written into."""
    folder = tmp_path_factory.mktemp("worded")
    (folder / "words.toml").write_text(tiny(WORDS))
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "words.toml"), "--run", str(folder / "run")])
    assert left.value.code == 0
    return folder / "run"


def stems(folder: str) -> list[str]:
    return sorted(path.stem for path in Path(folder).glob("0*.gif"))


def test_each_prompt_is_drawn_named_and_kept(run, worded):
    typed = ["--prompt", "A red circle!", "--prompt", "a blue square", "--count", "2", "--out", "new"]
    assert run("sample", str(worded), *typed, "--scale", "3", "--negative", "a red square").code == 0
    names = ["000-a-red-circle", "001-a-red-circle", "002-a-blue-square", "003-a-blue-square"]
    assert stems("new") == names
    made = read_recipe("new/002-a-blue-square.gif")
    assert (made["prompt"], made["negative"], made["scale"]) == ("a blue square", "a red square", 3.0)
    assert read_recipe("new/sheet.gif")["prompt"] == ["A red circle!", "a blue square"]


def test_what_is_asked_for_and_what_is_not_change_the_samples(run, worded):
    one = ["sample", str(worded), "--count", "1", "--prompt", "a red circle", "--scale", "3"]
    typed = {"a": one, "again": one, "b": [*one[:-3], "a blue square", *one[-2:]], "c": [*one, "--negative", "blue"]}
    drawn = {
        name: (run(*words, "--out", name).code, next(Path(name).glob("000*.mp4"))) for name, words in typed.items()
    }
    assert {code for code, _ in drawn.values()} == {0}
    pixels = {name: re.sub(rb"\{.*\}", b"", path.read_bytes()) for name, (_, path) in drawn.items()}
    assert pixels["a"] == pixels["again"] and len(set(pixels.values())) == 3


def test_prompts_come_from_a_file_and_with_labels(run, worded, tmp_path):
    (tmp_path / "prompts.txt").write_text("\ufeffa red  circle\n\na blue square\n", encoding="utf-8")
    typed = ["--prompts-file", "prompts.txt", "--label", "ring", "--label", "star", "--count", "1", "--out", "new"]
    assert run("sample", str(worded), *typed).code == 0
    assert len(stems("new")) == 4
    assert [read_recipe(path)["label"] for path in sorted(Path("new").glob("0*.gif"))] == [
        "ring",
        "ring",
        "star",
        "star",
    ]
    assert [stem[4:] for stem in stems("new")] == ["a-red-circle", "a-blue-square"] * 2


def test_what_is_not_read_of_a_prompt_is_said(run, worded):
    code, out, err = run(
        "sample", str(worded), "--prompt", "a pink circle moving left now", "--count", "1", "--out", "new"
    )
    assert code == 0 and "warning: pink, now: not of the 7 words" in out + err
    assert "1 of 1 captions have over 5 words, one has 6" in out + err


def test_the_model_in_the_box_is_taken_where_no_run_is_given(run, worded, monkeypatch):
    monkeypatch.setattr(runs, "BOX", worded)
    assert run("sample", "--prompt", "a red circle", "--count", "1").code == 0
    (written,) = Path("samples").iterdir()  # not inside of the package
    assert written.name.endswith("seed-0-a-red-circle") and stems(str(written)) == ["000-a-red-circle"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--negative", "a star"], '--negative "a star" guides towards a label or prompt, and none is given'),
        (["--scale", "3"], "--scale 3 guides towards a label or prompt, and none is given"),
        (["--prompt", "a", "--negative", "b"], 'negative="b" does nothing without guidance; set scale above 1'),
        (["--prompts-file", "none.txt"], "--prompts-file none.txt: No such file"),
        (["--prompts-file", "empty.txt"], "--prompts-file empty.txt holds no prompt"),
    ],
)
def test_what_makes_no_sense_is_one_line(run, worded, typed, words):
    Path("empty.txt").write_text(" \n\n")
    code, _, err = run("sample", str(worded), *typed)
    assert code == 2 and words in err and err.count("\n") == 1


def test_a_model_without_text_refuses_a_prompt(run, trained, monkeypatch):
    code, _, err = run("sample", str(trained), "--prompt", "a red circle")
    assert code == 2 and '"a red circle": the run was trained without captions' in err and err.count("\n") == 1
    monkeypatch.setattr(runs, "BOX", Path("nowhere"))
    code, _, err = run("sample", "--prompt", "a red circle")
    assert code == 65 and "no model came with this filmgrain" in err


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A red circle, moving left!", "a-red-circle-moving-left"),
        ("../../etc/passwd", "etc-passwd"),
        ("빨간 원", "빨간-원"),
        ("...", ""),
        ("word " * 20, "word-word-word-word-word-word-word-word-word-wor"),
    ],
)
def test_a_prompt_is_a_safe_part_of_a_name(prompt, name):
    assert slug(prompt) == name


def test_a_picture_is_varied_towards_a_prompt(run, worded):
    assert run("sample", str(worded), "--count", "1", "--out", "new").code == 0
    for out, typed in (("a.gif", ["--prompt", "a red circle"]), ("b.gif", ["--prompt", "a blue square"])):
        typed += ["--out", out, "--set", "sample.scale=100", "--set", "sample.threshold=none"]
        assert run("vary", str(worded), "new/000.gif", "--logsnr", "-5", *typed).code == 0
    assert read_recipe("a.gif")["prompt"] == "a red circle"
    assert not (read("a.gif").frames == read("b.gif").frames).all()


def test_plan_and_train_tell_of_captions(run, clips, cheap):
    for i, caption in enumerate(("a red circle", "a blue square", "a red moon")):
        Path(clips, f"{i}.txt").write_text(caption)
    code, out, _ = run("plan", clips)
    assert code == 0 and "train: captions of 3 of 6 clips" in out
    assert "captions of 6 different words are not used" in out and "--set network.condition=128" in out
    words = 'conditions.words.vocabulary=["a", "red", "blue", "circle", "square"]'
    assert re.search(r'--set \'conditions\.words\.vocabulary=\["a", "blue", "circle", "moon", "red", "square"\]\'', out)
    typed = [*cheap, "--set", words, "--set", "network.condition=8", "--set", "data.held_out=0", "--steps", "1"]
    code, out, err = run("train", clips, "--run", "run", *typed)
    assert code == 0 and "warning: moon: not of the 5 words" in out + err
    assert run("sample", "run", "--prompt", "a red circle", "--count", "1", "--steps", "1", "--out", "new").code == 0
