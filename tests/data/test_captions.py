"""Captions of pictures, clips and folders of frames: texts beside them, tables, several a file, names of folders."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from moving_square import moving, write_frames
from PIL import Image

from filmgrain.data import image_folder, video_folder
from filmgrain.data.loader import Loader
from filmgrain.files.encode import write_gif

SIZE = {"height": 8, "width": 8, "held_out": 0.0, "processes": 1}


def videos(root: Path, **changes: Any) -> video_folder.Dataset:
    return video_folder.Dataset(video_folder.Config(folder=str(root), frames=4, **SIZE | changes))


def pictures(root: Path, **changes: Any) -> image_folder.Dataset:
    return image_folder.Dataset(image_folder.Config(folder=str(root), **SIZE | changes))


def said(data: Any) -> dict[str, str]:
    items = (data.item(n, random.Random(n)) for n in range(len(data)))
    return {item["source"]: item.get("caption") for item in items}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three clips, one of them a folder of frames with a dot in its name."""
    root = tmp_path / "films"
    (root / "red_ball").mkdir(parents=True)
    write_gif(root / "a.gif", moving(4, 8, 8), 8)
    write_gif(root / "red_ball" / "b.gif", moving(4, 10, 8), 8)
    write_frames(root / "v1.2", moving(4, 12, 8))
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for n in range(3):
        Image.new("RGB", (8, 8), (80 * n, 0, 0)).save(root / f"{n}.png")
    return root


def test_texts_beside_clips_and_folders_of_frames(films: Path) -> None:
    (films / "a.txt").write_text("a square\n  moving right ")
    (films / "v1.2.txt").write_text("frames")
    (films / "notes.txt").write_text("of nothing")
    data = videos(films)
    assert said(data) == {"a.gif": "a square moving right", "red_ball/b.gif": "", "v1.2": "frames"}
    assert data.listing.ignored == {".txt": 1}
    assert "train: captions of 2 of 3 clips" in data.summary()
    assert sorted(data.texts()) == ["a square moving right", "frames"]


def test_folders_are_captions_where_that_is_asked_for(films: Path) -> None:
    (films / "a.txt").write_text("a square")
    assert said(videos(films, captions="folders")) == {"a.gif": "a square", "red_ball/b.gif": "red ball", "v1.2": ""}
    assert said(videos(films, captions="none")) == dict.fromkeys(["a.gif", "red_ball/b.gif", "v1.2"])
    with pytest.raises(ValueError, match='captions="names" is unknown; use one of auto, folders, none'):
        videos(films, captions="names")


TABLES = {
    "captions.csv": "file_name,text\n0.png,zero\n1.png,\"one, and\n more\"\n",
    "metadata.csv": "\ufeffText,File_Name,size\nzero,0.png,3\n\"one, and more\",./1.png,4\n",
    "captions.jsonl": '{"file": "0.png", "caption": "zero"}\n\n{"file": "1.png", "text": "one, and more"}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_captions(photos: Path, name: str) -> None:
    (photos / name).write_text(TABLES[name], encoding="utf-8")
    (photos / "0.txt").write_text("what the table replaces")
    (photos / "2.txt").write_text("two")
    data = pictures(photos)
    assert said(data) == {"0.png": "zero", "1.png": "one, and more", "2.png": "two"}
    assert not data.refused and not data.listing.ignored


def test_a_csv_without_names_is_files_and_captions(photos: Path) -> None:
    (photos / "captions.csv").write_text("0.png,zero\n1.png,one\n")
    assert said(pictures(photos)) == {"0.png": "zero", "1.png": "one", "2.png": ""}


def test_a_table_of_videos_and_pictures_serves_both(films: Path) -> None:
    Image.new("RGB", (8, 8)).save(films / "p.png")
    rows = [{"file_name": name, "text": name} for name in ("a.gif", "v1.2", "p.png", "red_ball/b.gif")]
    (films / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert said(videos(films)) == {"a.gif": "a.gif", "red_ball/b.gif": "red_ball/b.gif", "v1.2": "v1.2"}
    assert said(pictures(films))["p.png"] == "p.png" and not pictures(films).refused


def test_of_several_captions_one_is_drawn_and_workers_do_not_matter(photos: Path) -> None:
    rows = [{"file_name": "0.png", "text": ["a", "b"]}, {"file_name": "0.png", "text": "c"}]
    rows += [{"file_name": "1.png", "text": "one"}]
    (photos / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = pictures(photos)
    drawn = [data.item(0, random.Random(n))["caption"] for n in range(300)]
    assert Counter(drawn).keys() == set("abc") and min(Counter(drawn).values()) > 60
    assert drawn == [data.item(0, random.Random(n))["caption"] for n in range(300)]
    assert "train: captions of 2 of 3 pictures, 4 in all, of which one is drawn" in data.summary()
    one, two = (Loader(data, batch=3, seed=1, workers=workers).batches() for workers in (0, 2))
    assert [next(one)["caption"] for _ in range(4)] == [next(two)["caption"] for _ in range(4)]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("captions.csv", b"file_name,text\nnone.png,x\n0.png,zero\n", "line 2: 'none.png' is no picture or video here"),
        ("captions.csv", b"file_name,text\n,x\n0.png,zero\n", "line 2: names no file"),
        ("captions.csv", b"0.png,zero\n1.png,\xff\xfe\n", "is no text in UTF-8; save it as UTF-8"),
        ("captions.jsonl", b'{"file_name": "0.png", "text": "zero"}\n{"text": 1}', 'line 2: is no JSON object with a'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_named(photos: Path, name: str, text: bytes, reason: str) -> None:
    (photos / name).write_bytes(text)
    data = pictures(photos)
    (refused,) = data.refused
    assert refused.path == name and refused.reason.startswith(reason)
    assert said(data)["0.png"] == (None if "UTF-8" in reason else "zero")
