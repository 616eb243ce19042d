"""Contact sheets: many clips side by side; and film strips: the frames of a clip in a row."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GREY = 40  # of the ground, 0 to 255: neither the black nor the white of a picture
INK = 220  # of the labels
VIEWABLE = 96  # pixels: smaller pictures are enlarged, by a whole factor, until their shorter side has as many
LARGEST = 4096  # pixels: a side of a sheet, but for its gaps, that nothing is enlarged beyond
TEXT = 12  # pixels, height of a label's letters


def contact_sheet(
    clips: Sequence[np.ndarray],
    *,
    columns: int | None = None,
    gap: int = 2,
    scale: int | None = None,
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """A grid of clips, row by row: uint8 (f, h, w, 3) each -> (f, H, W, 3); of stills (h, w, 3) -> (H, W, 3).

    A shorter clip holds its last frame, a smaller one stands in the middle of its cell. `scale` is a whole factor,
    by default what makes small clips viewable; `labels`, one a row, stand on the left.
    """
    if not clips:
        raise ValueError("a contact sheet of no clips; give one or more")
    videos = [clip if clip.ndim == 4 else clip[None] for clip in clips]
    frames, height, width = (max(clip.shape[axis] for clip in videos) for axis in range(3))
    columns = min(columns or int(np.ceil(np.sqrt(len(videos)))), len(videos))
    rows = -(-len(videos) // columns)
    scale = scale or max(1, min(-(-VIEWABLE // min(height, width)), LARGEST // max(rows * height, columns * width)))
    height, width = scale * height, scale * width
    sheet = np.full((frames, gap + rows * (height + gap), gap + columns * (width + gap), 3), GREY, np.uint8)
    for index, clip in enumerate(videos):
        shown = clip[np.minimum(np.arange(frames), len(clip) - 1)].repeat(scale, axis=1).repeat(scale, axis=2)
        row, column = divmod(index, columns)
        top = gap + row * (height + gap) + (height - shown.shape[1]) // 2
        left = gap + column * (width + gap) + (width - shown.shape[2]) // 2
        sheet[:, top : top + shown.shape[1], left : left + shown.shape[2]] = shown
    if labels:
        if len(labels) != rows:
            raise ValueError(f"{len(labels)} labels for {rows} rows; give one a row")
        tops = [gap + row * (height + gap) for row in range(rows)]
        margin = _margin(labels, tops, height, len(sheet[0]))
        sheet = np.concatenate([np.broadcast_to(margin, (frames, *margin.shape)), sheet], axis=2)
    return sheet if any(clip.ndim == 4 for clip in clips) else sheet[0]


def film_strip(
    clips: Sequence[np.ndarray],
    count: int = 8,
    *,
    gap: int = 2,
    scale: int | None = None,
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """A still (H, W, 3) with a row for each clip (f, h, w, 3): at most `count` frames, from the first to the last."""
    count = min(count, max(map(len, clips)))
    cells = [clip[i] for clip in clips for i in np.linspace(0, len(clip) - 1, count).round().astype(int)]
    return contact_sheet(cells, columns=count, gap=gap, scale=scale, labels=labels)


def _margin(labels: Sequence[str], tops: Sequence[int], height: int, total: int) -> np.ndarray:
    """A column (total, W, 3) with each label level with the middle of its row."""
    font = ImageFont.load_default(TEXT)
    width = TEXT + int(max(font.getlength(line) for label in labels for line in label.split("\n")))
    image = Image.new("RGB", (width, total), (GREY, GREY, GREY))
    draw = ImageDraw.Draw(image)
    for label, top in zip(labels, tops, strict=True):
        draw.text((TEXT // 2, top + height // 2), label, fill=(INK, INK, INK), font=font, anchor="lm")
    return np.asarray(image)
