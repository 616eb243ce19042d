"""What is said and suggested before training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import cifar10_python, cifar100_binary, gif, packed, png, unpacked, write_idx
from moving_square import moving, write_frames
from PIL import Image

from filmgrain.data import NoData, cifar, idx, image_folder, shards, video_folder
from filmgrain.data.plan import plan, suggest
from filmgrain.data.split import SPLITS
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
    told = plan({split: video_folder.Dataset(config, split, lambda n, total: done.append(n)) for split in SPLITS})
    fates = {fate.path: fate for fate in told.fates}
    gif = fates["clip10.gif"]
    assert (gif.frames, gif.height, gif.width, gif.scaled) == (6, 40, 30, (32, 24)) and gif.fps == pytest.approx(5)
    assert gif.kept == 24 / 32 and (gif.train, gif.held_out) == (1, 0)
    assert (fates["deep/a.mp4"].train, fates["deep/a.mp4"].held_out) == (7, 1)
    assert fates["empty.gif"].refused == "is empty" and list(fates)[-1] == "empty.gif"
    assert told.ignored == {".txt": 1} and done[:6] == [1, 2, 3, 4, 5, 6] and told.items == 18
    for split in SPLITS:
        dataset = video_folder.Dataset(config, split)
        assert sum(getattr(fate, split) for fate in fates.values()) == len(dataset)
        assert dataset.summary()[0] in told.summary


def test_the_plan_of_pictures(folder: Path) -> None:
    config = image_folder.Config(folder=str(folder), height=16, width=16, processes=1)
    told = plan({split: image_folder.Dataset(config, split) for split in SPLITS})
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


# What lies there


def test_idx_files(root: Path) -> None:
    write_idx(root / "raw")
    Image.new("RGB", (8, 8)).save(root / "cover.png")
    suggestion = suggest(str(root))
    assert suggestion.config == idx.Config(folder=str(root), height=32, width=32)
    assert suggestion.classes == tuple("0123456789") and suggestion.reasons[0].startswith(
        'name="idx": 30 pictures of 28x28'
    )
    told = plan({split: idx.Dataset(suggestion.config, split) for split in SPLITS})
    assert told.items == 30 and not told.fates and "train: 10 classes of 3 pictures each" in "".join(told.summary)


def test_one_of_several_sets_of_idx_files(root: Path) -> None:
    for prefix in "ab":
        write_idx(root / "made", side=20)
        for path in (root / "made").iterdir():
            path.rename(root / f"{prefix}-{path.name}")
    suggestion = suggest(str(root))
    assert suggestion.config == idx.Config(folder=str(root), height=24, width=24, prefix="a")
    assert 'prefix="a": the first set of 2; the others are b' in suggestion.reasons


@pytest.mark.parametrize("place", ["archive", "unpacked"])
def test_cifar(root: Path, place: str) -> None:
    files = cifar10_python()
    if place == "archive":
        packed(root / "cifar-10-python.tar.gz", {f"cifar-10-batches-py/{n}": c for n, c in files.items()}, "w:gz")
    else:
        unpacked(root / "cifar-10-batches-py", files)
    suggestion = suggest(str(root))
    assert suggestion.config == cifar.Config(folder=str(root), flip=True) and len(suggestion.classes) == 4
    unpacked(root / "cifar-100-binary", cifar100_binary())
    with pytest.raises(NoData, match=r"holds both .* set data.folder to one of them"):
        suggest(str(root))


@pytest.mark.parametrize("moving", [False, True])
def test_tar_shards(root: Path, moving: bool) -> None:
    files = {f"{n}.gif": gif(8 + n % 4, seed=n, height=24, width=24) for n in range(5 if moving else 1)}
    files |= {f"{n}.png": png(n, 24, 40) for n in range(10, 13)} | {f"{n}.cls": b"%d" % n for n in range(20)}
    packed(root / "deep" / "x.tar", files)
    suggestion = suggest(str(root))
    assert isinstance(suggestion.config, shards.Config)
    assert suggestion.config.shape == ((3, 8, 24, 24) if moving else (3, 24, 40))
    assert suggestion.classes == tuple("01234" if moving else ("10", "11", "12"))
    assert shards.Dataset(suggestion.config).classes == list(suggestion.classes)


def test_shards_of_no_use(root: Path) -> None:
    packed(root / "x.tar", {"a.txt": b"x"})
    with pytest.raises(NoData, match="holds no usable picture or video in its 1 tar shards"):
        suggest(str(root))


def film(n: int, dice: np.random.Generator) -> np.ndarray:
    return moving(8, step=1 + n)


def noisy_film(n: int, dice: np.random.Generator) -> np.ndarray:
    """A scene of its own that does not move, seen by a bad camera."""
    scene = dice.integers(0, 200, (1, 24, 32, 3))
    return (scene + dice.integers(0, 40, (8, 24, 32, 3))).astype(np.uint8)


def collection(n: int, dice: np.random.Generator) -> np.ndarray:
    """Flat colours, those of a folder somewhat alike."""
    colours = 30 * n + dice.integers(0, 160, (30, 1, 1, 3))
    return np.broadcast_to(colours, (30, 24, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("made", [film, noisy_film, collection])
def test_numbered_pictures_are_a_film_only_where_neighbours_are_alike(root: Path, made: Any) -> None:
    dice = np.random.default_rng(0)
    for n, name in enumerate(("cats", "dogs", "birds")):
        write_frames(root / name, made(n, dice))
    suggestion = suggest(str(root))
    assert isinstance(suggestion.config, image_folder.Config if made is collection else video_folder.Config)
    assert suggestion.classes == (("birds", "cats", "dogs") if made is collection else ())
    assert ("no film in 3 folders of numbered pictures" in suggestion.reasons[0]) == (made is collection)
