"""What an evaluation says beside its distances: bits per dimension, and whether training data are repeated."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import progress, say
from .datasets import dataset, unflipped
from .drawn import Drawn
from .errors import usage

if TYPE_CHECKING:
    from ..evaluate.features import Extractor
    from ..recipe import Recipe
    from .evaluate import Options


def likelihood_of(options: "Options", checkpoint: Path, recipe: "Recipe") -> dict[str, Any]:
    """Bits per dimension of data held out."""
    if not options.likelihood:
        return {}
    from .. import runs
    from ..evaluate.likelihood import Config, likelihood

    model = runs.load_checkpoint(checkpoint, weights=options.weights, device=options.device)
    with usage(), progress("bits per dimension") as bar:
        config = Config(items=options.likelihood, seed=options.seed)
        found = likelihood(model, dataset(recipe, "held_out"), config, batch=options.at_once(recipe), progress=bar)
    say(str(found))
    return {"likelihood": found.row()}


def copies_of(options: "Options", recipe: "Recipe", extractor: "Extractor", drawn: Drawn, out: Path) -> dict[str, Any]:
    """The nearest training data, as a picture beside the numbers."""
    if not options.neighbours:
        return {}
    from .. import runs
    from ..evaluate.memorisation import memorisation, sheet
    from ..files.image import write_png

    train, held_out = (runs.datasets(unflipped(recipe))[split] for split in ("train", "held_out"))
    mirrored = getattr(recipe.data, "flip", False)
    with progress("nearest training data") as bar:
        found = memorisation(
            drawn.pictures, train, held_out, extractor, seed=options.seed, mirrored=mirrored, progress=bar
        )
    picture = out.with_name(f"{out.stem}-neighbours.png")
    write_png(picture, sheet(found, train, options.neighbours))
    say(*(f"memorisation, {space}: {verdict}" for space, verdict in found.copying.items()))
    say(str(picture))
    return {"memorisation": found.row()}
