"""`--given`: a run that was told frame rate or frame skip is asked for one."""

from pathlib import Path

import pytest
from tiny_recipe import tiny

from filmgrain.cli import main
from filmgrain.files.encode import read_recipe, write_gif
from filmgrain.files.video import read

CONDITIONS = "[conditions.frame_rate]\n[conditions.frame_skip]\nskips = [1, 2]"
QUICK = ["task.validation=0", "task.previews=0", "train.lr=0.03", "train.warmup=0"]


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps that is told both; not to be written into."""
    folder = tmp_path_factory.mktemp("paced")
    (folder / "films").mkdir()
    frames = read(Path(__file__).parents[2] / "docs" / "pictures" / "demo.gif", size=lambda h, w: (8, 8)).frames
    write_gif(folder / "films" / "film.gif", frames, 8)
    data = f'folder = "{folder / "films"}"\nstride = [1, 2]\nheld_out = 0.0'
    (folder / "paced.toml").write_text(tiny(CONDITIONS, data, name="video_folder"))
    with pytest.raises(SystemExit) as left:
        main(["train", str(folder / "paced.toml"), "--run", str(folder / "run"), *(f"--set={q}" for q in QUICK)])
    assert left.value.code == 0
    return folder / "run"


def test_a_pace_that_is_given_changes_the_sample_and_is_kept(run, paced):
    one, drawn = ["sample", str(paced), "--count", "1"], {}
    for name, said in {"none": [], "one": ["frame_skip=1"], "two": ["frame_skip=2", "frame_rate=4"]}.items():
        code, _, err = run(*one, *(word for given in said for word in ("--given", given)), "--out", name)
        assert code == 0, err
        drawn[name] = read(f"{name}/000.gif").frames.tobytes()
    assert len(set(drawn.values())) == 3
    assert read_recipe("two/000.gif")["given"] == ["frame_skip=2", "frame_rate=4"]


def test_a_video_is_made_longer_at_a_pace(run, paced):
    code, _, err = run("extend", str(paced), "--frames", "3", "--method", "replacement", "--given", "frame_rate=12")
    assert code == 0, err
    assert read_recipe("extended.gif")["given"] == "['frame_rate=12']"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("frame_rate=quick", "frame_rate=quick is no number of frames a second; use one such as 8"),
        ("frame_rate=-1", "frame_rate=-1 is no number of frames a second"),
        ("frame_skip=3", "frame_skip=3 is no skip that the run was trained with; use one of 1, 2"),
        ("frame_skip", "--given frame_skip gives no value; write frame_skip=VALUE"),
        ("pace=3", "--given pace=3: the run was not trained with pace to be given; it takes frame_rate, frame_skip"),
    ],
)
def test_what_cannot_be_given_is_refused(run, paced, typed, said):
    code, _, err = run("sample", str(paced), "--given", typed)
    assert code == 2 and said in err


def test_a_run_without_conditions_takes_none(run, trained):
    code, _, err = run("interpolate", str(trained), "x.gif", "--given", "frame_rate=3")
    assert code == 2 and "the run was not trained with frame_rate to be given; leave --given out" in err
