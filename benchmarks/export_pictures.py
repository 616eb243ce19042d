"""Write a recipe's training data as .png files, for programs that read nothing else.

python benchmarks/export_pictures.py fashion_mnist pictures data.folder=fashion-mnist
"""

import random
import sys
from pathlib import Path

from PIL import Image

from filmgrain import recipe, runs


def main(name: str, folder: str, *settings: str) -> None:
    Path(folder).mkdir(parents=True)
    data = runs.datasets(recipe.override(recipe.load(name), settings))["train"]
    for index in range(len(data)):
        x = data.item(index, random.Random(0))["x"].squeeze(0)
        Image.fromarray(x if x.ndim == 2 else x.transpose(1, 2, 0)).save(Path(folder) / f"{index:06d}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
