"""Contact sheets: many clips side by side, and film strips: one clip's frames in a row."""

from collections.abc import Sequence

import numpy as np

GREY = 48  # of the background, 0 to 255: neither the black nor the white of a picture
VIEWABLE = 96  # pixels: smaller pictures are enlarged until their shorter side has these


def contact_sheet(
    clips: Sequence[np.ndarray], *, columns: int | None = None, gap: int = 2, scale: int | None = None
) -> np.ndarray:
    """A grid of clips, row by row: uint8 (f, h, w, 3) each -> (f, H, W, 3); of stills (h, w, 3) -> (H, W, 3).

    A shorter clip holds its last frame; a smaller one is centred in its cell.
    """
    if not clips:
        raise ValueError("a contact sheet of no clips; give at least one")
    stills = all(clip.ndim == 3 for clip in clips)
    clips = [_enlarged(clip if clip.ndim == 4 else clip[None], scale) for clip in clips]
    columns = columns or int(np.ceil(np.sqrt(len(clips))))
    columns = min(columns, len(clips))
    rows = -(-len(clips) // columns)
    frames, height, width = (max(clip.shape[axis] for clip in clips) for axis in range(3))
    shape = (frames, gap + rows * (height + gap), gap + columns * (width + gap), 3)
    sheet = np.full(shape, GREY, np.uint8)
    for index, clip in enumerate(clips):
        row, column = divmod(index, columns)
        top = gap + row * (height + gap) + (height - clip.shape[1]) // 2
        left = gap + column * (width + gap) + (width - clip.shape[2]) // 2
        shown = clip[np.minimum(np.arange(frames), len(clip) - 1)]
        sheet[:, top : top + clip.shape[1], left : left + clip.shape[2]] = shown
    return sheet[0] if stills else sheet


def film_strip(clips: Sequence[np.ndarray], count: int = 8, *, gap: int = 2, scale: int | None = None) -> np.ndarray:
    """A still with a row for each clip: `count` of its frames, evenly spread from first to last."""
    cells = []
    for clip in clips:
        spread = np.linspace(0, len(clip) - 1, count).round().astype(int)
        cells += list(clip[spread])
    return contact_sheet(cells, columns=count, gap=gap, scale=scale)


def _enlarged(clip: np.ndarray, scale: int | None) -> np.ndarray:
    scale = scale or -(-VIEWABLE // min(clip.shape[1:3]))
    return clip.repeat(scale, axis=1).repeat(scale, axis=2)
