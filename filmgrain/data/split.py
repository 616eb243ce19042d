"""What is held out of training, to validate on: whole files, chosen by content, or the last part of long clips.

The choice is a function of the files alone, so that a resumed run, or another on the same folder, holds out the same.
"""

from collections.abc import Sequence

SPLITS = ("train", "held_out")
ENOUGH = 10  # different clips, from which on whole files are held out


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
