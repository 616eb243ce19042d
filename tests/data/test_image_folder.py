"""Pictures from a folder: any mode, classes from folders and metadata, captions, flips, splits."""

import codecs
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from filmgrain.data import NoData
from filmgrain.data.image_folder import Config, Dataset

TINTS = 60, 110, 160


def dataset(root: Path, split: str = "train", **changes: Any) -> Dataset:
    settings = {"folder": str(root), "height": 8, "width": 8, "held_out": 0.0, "processes": 1} | changes
    return Dataset(Config(**settings), split)


def picture(path: Path, colour: tuple[int, int, int] = TINTS, size: tuple[int, int] = (12, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def spoil(path: Path) -> None:
    """Cut a sound JPEG, which its first bytes do not tell."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40])


def every(data: Dataset) -> dict[str, dict[str, Any]]:
    """Each item by its source."""
    return {item["source"]: item for item in (data.item(n, random.Random(n)) for n in range(len(data)))}


# Modes and sizes


def modes() -> dict[str, Image.Image]:
    """One colour, or its grey, as ten kinds of picture; half of the pixels are transparent where a mode knows that."""
    rgb = Image.new("RGB", (12, 12), TINTS)
    alpha = Image.new("L", (12, 12), 255)
    alpha.paste(0, (0, 6, 12, 12))
    clear = rgb.copy()
    clear.putalpha(alpha)
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    key = Image.fromarray(np.arange(144, dtype=np.uint8).reshape(12, 12) // 72, "P")
    key.putpalette([*TINTS, 1, 2, 3])
    deep = Image.fromarray(np.full((12, 12), 110 * 257, np.uint16))
    return {
        "rgb.png": rgb,
        "rgba.png": clear,
        "grey.png": Image.new("L", (12, 12), 110),
        "grey alpha.png": Image.merge("LA", [Image.new("L", (12, 12), 110), alpha]),
        "bits.png": Image.new("1", (12, 12), 1),
        "palette.png": palette,
        "palette key.gif": key,
        "deep.png": deep,
        "deep.tiff": deep,
        "cmyk.jpg": Image.new("CMYK", (12, 12), (195, 145, 95, 0)),
        "ycbcr.jpg": rgb.convert("YCbCr"),
    }


SHOWN = {"grey.png": 110, "grey alpha.png": 110, "deep.png": 110, "deep.tiff": 110, "bits.png": 255}


@pytest.mark.parametrize("name", modes())
def test_a_picture_of_any_mode_shows_its_colours(tmp_path: Path, name: str) -> None:
    key = {"transparency": 1} if name == "palette key.gif" else {}
    (tmp_path / "p").mkdir()
    modes()[name].save(tmp_path / "p" / name, **key, **({"quality": 100} if name.endswith("jpg") else {}))
    x = dataset(tmp_path / "p", height=12, width=12, background=(0, 200, 0)).item(0, random.Random(0))["x"]
    grey = SHOWN.get(name)
    assert x.shape == (3, 12, 12)
    assert np.abs(x[:, 2, 2].astype(int) - (TINTS if grey is None else 3 * [grey])).max() <= 3
    if "alpha" in name or "rgba" in name or "key" in name:
        assert tuple(x[:, 9, 9]) == (0, 200, 0)
    else:
        assert np.ptp(x.astype(int), axis=(1, 2)).max() <= 3


def test_sizes_are_covered_and_told(tmp_path: Path) -> None:
    for name, size in {"wide": (40, 10), "tall": (10, 40), "tiny": (1, 1), "fit": (8, 8)}.items():
        picture(tmp_path / f"{name}.png", size=size)
    data = dataset(tmp_path)
    assert all((item["x"] == np.array(TINTS)[:, None, None]).all() for item in every(data).values())
    assert data.summary()[0] == "train: 4 pictures of 1x1 to 40x10 pixels"


def test_a_flip_is_one_draw_an_item(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    ramp = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None] * 30, (8, 8, 3))
    Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "p" / "a.png")
    data = dataset(tmp_path / "p", flip=True)
    drawn = [data.item(0, random.Random(n))["x"] for n in range(200)]
    rows = [x[0, 0].astype(int) for x in drawn]
    assert all((x == x[:1, :1]).all() for x in drawn)  # every row and channel alike
    assert all((row == np.sort(row)).all() or (row[::-1] == np.sort(row)).all() for row in rows)
    assert 60 < sum(row[0] > row[-1] for row in rows) < 140


# Classes


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name in ("class 2/a.png", "class 2/deep/b.png", "class 10/c.png", "class 1/d.png"):
        picture(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read me.md").write_text("x")
    data = dataset(tmp_path)
    assert data.classes == ["class 1", "class 2", "class 10"]
    assert {source: item["label"] for source, item in every(data).items()} == {
        "class 1/d.png": 0, "class 2/a.png": 1, "class 2/deep/b.png": 1, "class 10/c.png": 2,
    }  # fmt: skip
    assert data.summary()[1] == "train: 3 classes of 1 to 2 pictures: class 1 1, class 2 2, class 10 1"


def test_a_class_keeps_its_number_though_all_its_pictures_are_bad(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.jpg", "c/1.png"):
        picture(tmp_path / name)
    spoil(tmp_path / "b/1.jpg")
    data = dataset(tmp_path)
    assert data.classes == ["a", "b", "c"] and [refused.path for refused in data.refused] == ["b/1.jpg"]
    assert {source: item["label"] for source, item in every(data).items()} == {"a/1.png": 0, "c/1.png": 2}


@pytest.mark.parametrize("layout", ["one folder", "loose"])
def test_no_classes_where_folders_do_not_say_them(tmp_path: Path, layout: str) -> None:
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "a/2.png" if layout == "one folder" else tmp_path / "2.png")
    if layout == "loose":
        picture(tmp_path / "b/3.png")
    data = dataset(tmp_path)
    assert data.classes is None and "label" not in data.item(0, random.Random(0))
    line = 'no classes: 1 pictures lie in no sub-folder; data.labels="folders" leaves them out'
    assert (line in data.summary()) == (layout == "loose")
    asked = dataset(tmp_path, labels="folders")
    assert asked.classes == (["a"] if layout == "one folder" else ["a", "b"])
    assert [refused.path for refused in asked.refused] == ([] if layout == "one folder" else ["2.png"])


def test_folders_train_and_test_are_the_splits(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "train/dog/2.png", "Val/cat/3.png"):
        picture(tmp_path / name)
    train, held_out = (dataset(tmp_path, split) for split in ("train", "held_out"))
    assert train.classes == held_out.classes == ["cat", "dog"]
    assert {s: i["label"] for s, i in every(train).items()} == {"train/cat/1.png": 0, "train/dog/2.png": 1}
    assert {s: i["label"] for s, i in every(held_out).items()} == {"Val/cat/3.png": 0}
    picture(tmp_path / "other/4.png")
    assert dataset(tmp_path).classes == ["Val", "other", "train"]


def test_nothing_to_train_on_but_what_is_held_out(tmp_path: Path) -> None:
    picture(tmp_path / "test/1.png")
    spoil(picture(tmp_path / "train/2.jpg"))
    with pytest.raises(NoData, match=r"holds no usable still .*2.jpg"):
        dataset(tmp_path)


# Metadata and captions


def metadata(path: Path, *rows: Any) -> None:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines))


def test_metadata_in_the_layout_of_imagefolder(tmp_path: Path) -> None:
    for name in ("train/1.png", "train/deep/2.png", "test/3.png"):
        picture(tmp_path / name)
    rows = [{"file_name": "1.png", "text": "one\n picture", "label": 9}, {"file_name": "deep/2.png", "label": "10"}]
    metadata(tmp_path / "train/metadata.jsonl", codecs.BOM_UTF8 + json.dumps(rows[0]).encode(), b"", rows[1])
    metadata(tmp_path / "test/metadata.jsonl", {"file_name": "3.png", "caption": "drei", "label": 9, "more": [1]})
    data = dataset(tmp_path)
    assert data.classes == ["9", "10"] and data.listing.ignored == {} and not data.refused
    assert {s: (i["label"], i["caption"]) for s, i in every(data).items()} == {
        "train/1.png": (0, "one picture"), "train/deep/2.png": (1, ""),
    }  # fmt: skip
    held_out = dataset(tmp_path, "held_out").item(0, random.Random(0))
    assert (held_out["source"], held_out["label"], held_out["caption"]) == ("test/3.png", 0, "drei")
    assert "label" not in dataset(tmp_path, labels="none").item(0, random.Random(0))


def test_what_is_wrong_in_metadata_is_named_and_the_rest_used(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    bad = [b"{no json", b"[1]", {"text": "x"}, {"file_name": "../a.png"}, {"file_name": "nowhere.png"}]
    bad += [{"file_name": "a.png", "label": 1.5}, {"file_name": "b.png", "text": [1]}, b"[" * 5000, b"\xff\xfe"]
    metadata(tmp_path / "metadata.jsonl", *bad, {"file_name": "c.png", "text": "fine \ud800"})
    data = dataset(tmp_path)
    assert [refused.path for refused in data.refused] == ["metadata.jsonl"]
    reason = 'line 1: is no JSON object with a "file_name" (and 8 more lines)'
    assert data.refused[0].reason == reason and data.classes is None
    assert {s: i["caption"] for s, i in every(data).items()} == {"a.png": "", "b.png": "", "c.png": "fine ?"}


def test_pictures_without_the_label_that_others_have(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    metadata(tmp_path / "metadata.jsonl", {"file_name": "a.png", "label": "x"}, {"file_name": "b.png", "label": "y"})
    data = dataset(tmp_path)
    assert data.classes == ["x", "y"] and [refused.path for refused in data.refused] == ["c.png"]
    assert "has no label, as others have" in data.refused[0].reason


CAPTION = "ein Kätzchen – 猫"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (CAPTION.encode(), CAPTION),
        (codecs.BOM_UTF8 + CAPTION.encode(), CAPTION),
        (CAPTION.encode("utf-16"), CAPTION),
        (codecs.BOM_UTF16_BE + CAPTION.encode("utf-16-be"), CAPTION),
        (b" two\r\nlines \n", "two lines"),
        (b"", ""),
        ("Kätzchen".encode("latin-1"), None),
        (b"\xff\xfe\x00", None),
        (b"x" * 70_000, None),
    ],
    ids=["utf-8", "utf-8 mark", "utf-16", "utf-16 big", "lines", "empty", "latin-1", "odd utf-16", "endless"],
)
def test_captions_in_odd_encodings(tmp_path: Path, content: bytes, expected: str | None) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.txt").write_text("another")
    (tmp_path / "else.txt").write_text("no picture")
    data = dataset(tmp_path)
    assert every(data)["a.png"]["caption"] == (expected or "")
    assert [refused.path for refused in data.refused] == (["a.txt"] if expected is None else [])
    assert data.listing.ignored == {".txt": 1}


def test_no_caption_at_all_is_no_key(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert dataset(tmp_path).item(0, random.Random(0)).keys() == {"x", "source"}


def test_labels_come_from_somewhere_known() -> None:
    with pytest.raises(ValueError, match='labels="files" is unknown; use one of auto, folders, metadata, none'):
        Config(folder="p", labels="files")
