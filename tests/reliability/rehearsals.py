"""A12: what would end a run at its end, ends it before its first step: saving, loading, sampling, writing samples."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import torch
from target import emptied, moments_of, reached, trained
from tiny.convolutions import Network
from trial import Trial, first, unless

from filmgrain.files import tensors
from filmgrain.samplers import ddim
from filmgrain.tasks import diffusion


def refuse(*_: Any, **__: Any) -> Never:
    raise OSError(28, "No space left on device")


def misfit(*_: Any, **__: Any) -> Never:
    raise ValueError("eta=-1 is not allowed")


def no_number(self: Network, z: torch.Tensor, *_: Any) -> torch.Tensor:
    return z * torch.nan


def break_loading() -> None:
    """The library reads what it wrote, but not as it was."""
    load = tensors.load
    tensors.load = lambda path, *rest: {name[1:]: tensor for name, tensor in load(path, *rest).items()}  # type: ignore


BROKEN: dict[str, tuple[Callable[[], None], int]] = {
    "saving": (lambda: setattr(tensors, "save", refuse), 74),
    "loading": (break_loading, 65),
    "a network that gives NaN": (lambda: setattr(Network, "forward", no_number), 76),
    "a sampler's option": (lambda: setattr(ddim, "sample", misfit), 2),
    "writing a GIF": (lambda: setattr(diffusion, "write_gif", refuse), 74),
    "writing a PNG": (lambda: setattr(diffusion, "write_png", refuse), 74),
}


def trials(root: Path, quick: bool) -> Iterator[Trial]:
    began = time.monotonic()
    names = moments_of(lambda at: trained(root / "run", at=at), root / "names")
    drawn = [name for name in names[: names.index("step 1")] if "rehearsal" in name and name.endswith((".gif", ".png"))]
    yield Trial(
        "rehearsed", "a sound run, before step 1", unless(len(drawn) >= 2 and time.monotonic() - began < 60, str(drawn))
    )
    for name, (breaking, code) in BROKEN.items():
        ended = trained(emptied(root / "trial"), prepare=breaking)
        lines = [line for line in ended.said.splitlines() if line.startswith("filmgrain: ")]
        yield Trial(
            "broken",
            name,
            first(
                unless(ended.code == code and len(lines) == 1, f"ended with {ended}, not {code}"),
                unless(reached() == 0 and not list((root / "trial").rglob("*rehearsal*")), "was not stopped at once"),
            ),
        )
