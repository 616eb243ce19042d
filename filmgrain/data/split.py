"""What is held out of training, to validate on: whole files, chosen by content, or the last part of long clips.

The choice is a function of the files alone, so that a resumed run, or another on the same folder, holds out the same.
Data that come in two parts, as folders train/ and test/ do, keep to them.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

SPLITS = ("train", "held_out")
ENOUGH = 10  # different clips, from which on whole files are held out
HELD_OUT = ("test", "val", "valid", "validation", "held_out")
PARTS = {"train": "train", "training": "train", **dict.fromkeys(HELD_OUT, "held_out")}  # names, in lower case

Key = TypeVar("Key", bound=Hashable)


def check(split: str, fraction: float) -> None:
    if split not in SPLITS:
        raise ValueError(f'split="{split}" is unknown; use one of {", ".join(SPLITS)}')
    if not 0 <= fraction < 1:
        raise ValueError(f"held_out={fraction:g} is not a fraction of the data; use 0 to below 1, such as 0.05")


def by_content(digests: Sequence[str], fraction: float) -> set[str]:
    """The digests held out: the smallest ones, `fraction` of them but at least one, and never all.

    Copies of a file share its digest and so its side. Empty if there are fewer than `ENOUGH` different ones.
    """
    different = sorted(set(digests))
    if not fraction or len(different) < ENOUGH:
        return set()
    return set(different[: min(max(1, round(fraction * len(different))), len(different) - 1)])


def is_held_out(digest: str, fraction: float) -> bool:
    """Whether a content is held out where no one knows all of them: its sha256, as a number in [0, 1), is below."""
    return int(digest[:15], 16) < fraction * 16**15


def word(name: str) -> str:
    """The split that the name of a shard speaks of: train-0001.tar, val/0001.tar; "" for none."""
    return next((word for word in re.split(r"[^a-z]+", name.lower()) if word in PARTS), "")


def by_name(names: Mapping[Key, str]) -> dict[Key, str]:
    """The split of each key, if every name stands for one and both splits are there; else nothing."""
    parts = {key: PARTS.get(name.lower(), "") for key, name in names.items()}
    return parts if set(parts.values()) == set(SPLITS) else {}
