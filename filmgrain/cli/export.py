"""`filmgrain export FORMAT RUN FOLDER`: a run's model for another program."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from .console import say
from .errors import Usage, usage
from .flags import RunFolder, Weights
from .import_ import module_of, refuse_existing


def export(
    kind: Annotated[str, Argument(metavar="FORMAT", help="diffusers.")],
    run: RunFolder,
    folder: Annotated[Path, Argument(help="New folder to write to.")],
    label: Annotated[str | None, Option(metavar="NAME", help="The class that a conditional model becomes.")] = None,
    weights: Weights = "ema",
) -> None:
    """Write a run's model as another program's."""
    from .. import runs
    from ..recipe import load

    write = module_of(kind, "write").write
    refuse_existing(folder)
    checkpoint = runs.newest(run)
    recipe = load(checkpoint / "recipe.toml")
    given = {}
    with usage():
        if label is not None:
            if "label" not in recipe.conditions:
                raise Usage(f"--label {label}: the run was trained without labels; leave --label out")
            given = {"label": [recipe.conditions["label"].label_of(label)]}
        model = runs.load_checkpoint(checkpoint, weights=weights, device="cpu")
        made = write(model, folder, sampling=asdict(recipe.sample), given=given)
    told = f", of {label}" if label else ", told no condition" if recipe.conditions else ""
    say(f"{folder}: the {weights} weights of {checkpoint.name}{told}", *made)
