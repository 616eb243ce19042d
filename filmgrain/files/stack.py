"""Frames of one size, gathered from Pillow's images into one array."""

import numpy as np
from PIL import Image

AT_ONCE = 1 << 20  # pixels that are converted together; 4 MB of Pillow's


class Stack:
    """uint8 (f, h, w, 3) of the RGB images that are added, about `count` of them.

    To convert an image takes as long as to decode a small one. So they are pasted one under another, and converted many
    at a time.
    """

    def __init__(self, count: int, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.most = max(1, min(count, AT_ONCE // (height * width)))  # on the sheet
        self.sheet = Image.new("RGB", (width, height * self.most))
        self.pasted = 0
        self.done: list[np.ndarray] = []

    def add(self, image: Image.Image) -> None:
        self.sheet.paste(image, (0, self.height * self.pasted))
        self.pasted += 1
        if self.pasted == self.most:
            self._convert()

    def array(self) -> np.ndarray:
        if self.pasted:
            self._convert()
        return self.done[0] if len(self.done) == 1 else np.concatenate(self.done)

    def _convert(self) -> None:
        pixels = np.asarray(self.sheet).reshape(self.most, self.height, self.width, 3)
        self.done.append(pixels[: self.pasted])
        self.pasted = 0
