"""filmgrain trains and samples diffusion models of videos and images on a folder of one's own files.

recipe = filmgrain.for_folder("clips")               # settings chosen from the data; or load_recipe("demo")
filmgrain.train(recipe, "runs/clips")
model = filmgrain.load("runs/clips")
videos = filmgrain.sample(model, 4, seed=0)          # (4, c, f, h, w) in [-1, 1]
filmgrain.save_video(videos[0], "new.gif", fps=8)
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {  # name: where it lives; imported when first used, so that `import filmgrain` costs nothing
    "Recipe": "recipe",
    "for_folder": "defaults",
    "load_recipe": "recipe:load",
    "override": "recipe",
    "train": "runs",
    "load": "runs",
    "recipe_of": "runs",
    "pack": "runs",
    "box": "runs",
    "datasets": "runs",
    "build": "runs",
    "sample": "generate.videos:generate",
    "sample_batches": "generate.videos:batches",
    "walk": "generate.sampling",
    "extend": "generate.extend",
    "extend_blocks": "generate.extend",
    "loop": "generate.extend",
    "interpolate": "generate.interpolate",
    "upscale": "generate.upscale",
    "inpaint": "generate.inpaint",
    "connect": "generate.inpaint",
    "Conditional": "generate.conditional",
    "read_video": "data.given",
    "Sampling": "generate.sampling:Config",
    "save_video": "generate.videos",
    "likelihood": "evaluate.likelihood",
    "keep_freed_memory": "allocator",
}
__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'filmgrain' has no attribute {name!r}")
    module, _, inside = _PUBLIC[name].partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), inside or name)


def __dir__() -> list[str]:
    return __all__
