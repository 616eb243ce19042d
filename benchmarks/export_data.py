"""Write a recipe's training data as .png files, or clips as .gif files, for programs that read nothing else.

python benchmarks/export_data.py fashion_mnist pictures data.folder=fashion-mnist
python benchmarks/export_data.py demo clips data.clips=4000
"""

import random
import sys
from pathlib import Path

from PIL import Image

from filmgrain import recipe, runs
from filmgrain.files.encode import write_gif


def main(name: str, folder: str, *settings: str) -> None:
    Path(folder).mkdir(parents=True)
    data = runs.datasets(recipe.override(recipe.load(name), settings))["train"]
    for index in range(len(data)):
        x = data.item(index, random.Random(0))["x"]
        path = Path(folder) / f"{index:06d}"
        if x.ndim == 4:
            write_gif(path.with_suffix(".gif"), x.transpose(1, 2, 3, 0), fps=8)
        else:
            x = x.transpose(1, 2, 0).squeeze()
            Image.fromarray(x).save(path.with_suffix(".png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
