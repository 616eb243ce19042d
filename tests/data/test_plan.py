"""What is said and suggested before training."""

from pathlib import Path

import pytest
from moving_square import moving, write_frames
from PIL import Image

from filmgrain.data import NoData, image_folder, video_folder
from filmgrain.data.plan import plan, suggest
from filmgrain.files.encode import write_gif, write_mp4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "v").mkdir()
    return tmp_path / "v"


def suggested(root: Path, **changes: int) -> tuple[video_folder.Config, str]:
    suggestion = suggest(str(root), **changes)
    assert isinstance(suggestion.config, video_folder.Config)
    assert all(": " in reason and "\n" not in reason for reason in suggestion.reasons)
    return suggestion.config, "\n".join(suggestion.reasons)


def test_the_plan_tells_what_training_will_do(folder: Path) -> None:
    (folder / "empty.gif").touch()
    config = video_folder.Config(folder=str(folder), frames=5, height=24, width=24, processes=1)
    done: list[int] = []
    told = plan(config, lambda n, total: done.append(n))
    fates = {fate.path: fate for fate in told.fates}
    gif = fates["clip10.gif"]
    assert (gif.frames, gif.height, gif.width, gif.scaled) == (6, 40, 30, (32, 24)) and gif.fps == pytest.approx(5)
    assert gif.kept == 24 / 32 and (gif.train, gif.held_out) == (1, 0)
    assert (fates["deep/a.mp4"].train, fates["deep/a.mp4"].held_out) == (7, 1)
    assert fates["empty.gif"].refused == "is empty" and list(fates)[-1] == "empty.gif"
    assert told.ignored == {".txt": 1} and done[:6] == [1, 2, 3, 4, 5, 6]
    splits = {split: video_folder.Dataset(config, split) for split in ("train", "held_out")}
    for split, dataset in splits.items():
        assert sum(getattr(fate, split) for fate in fates.values()) == len(dataset)
        assert dataset.summary()[0] in told.summary


def test_the_plan_of_pictures(folder: Path) -> None:
    told = plan(image_folder.Config(folder=str(folder), height=16, width=16, processes=1))
    assert {fate.path for fate in told.fates} >= {"still.png", "grey.jpg", "shots/first/frame_1.png"}
    assert sum(fate.train for fate in told.fates) == 12 and sum(fate.held_out for fate in told.fates) == 1


def test_files_that_agree_keep_their_shape_and_rate(root: Path) -> None:
    for n in range(3):
        write_mp4(root / f"{n}.mp4", moving(120 + n, 48, 72), 25)
    config, reasons = suggested(root)
    assert (config.height, config.width, config.fps, config.stride, config.frames) == (48, 72, 0, 2, 16)
    assert config.flip is False and config.short == "loop"
    assert "25 frames a second, of which this shows 12.5" in reasons
    assert (suggested(root, largest=32)[0].height, suggested(root, largest=32)[0].width) == (32, 48)


def test_files_that_differ_are_square_and_resampled(root: Path) -> None:
    write_mp4(root / "a.mp4", moving(90, 48, 72), 30)
    write_mp4(root / "b.mp4", moving(60, 72, 48), 15)
    write_gif(root / "c.gif", moving(50, 50, 50), 20)
    config, reasons = suggested(root)
    assert (config.height, config.width, config.fps, config.stride) == (48, 48, 12, 1)
    assert "15 to 30 frames a second" in reasons


def test_short_clips_shorten_the_window(root: Path) -> None:
    for n, frames in enumerate((6, 10, 11, 14)):
        write_gif(root / f"{n}.gif", moving(frames), 10)
    config, reasons = suggested(root)
    assert config.frames == 8 and config.short == "loop" and "1 clips are shorter" in reasons


def test_short_films_are_mirrored(root: Path) -> None:
    for n, frames in enumerate((6, 40, 41)):
        write_mp4(root / f"{n}.mp4", moving(frames), 12)
    assert suggested(root)[0].short == "mirror"


def test_a_folder_of_pictures(root: Path) -> None:
    for n in range(3):
        Image.new("RGB", (100, 100), (n, 0, 0)).save(root / f"{n}.png")
    suggestion = suggest(str(root))
    assert suggestion.config == image_folder.Config(folder=str(root), height=64, width=64)
    assert suggestion.reasons[0] == 'name="image_folder": 3 pictures and no video'


def test_a_suggestion_trains(folder: Path) -> None:
    config, _ = suggested(folder)
    assert len(video_folder.Dataset(config)) > 0 and config.folder == str(folder)


@pytest.mark.parametrize("bad", [False, True])
def test_nothing_to_suggest(root: Path, bad: bool) -> None:
    if bad:
        (root / "a.gif").write_text("no gif")
    with pytest.raises(NoData, match=r"holds no usable video or still .*a.gif: is no picture" if bad else "no usable"):
        suggest(str(root))


def test_folders_of_frames_are_clips(root: Path) -> None:
    write_frames(root / "one", moving(20))
    config, reasons = suggested(root)
    assert config.frames == 16 and "10 frames a second" in reasons
