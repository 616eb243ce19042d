"""One architecture a file, each with `Config` and `Network`: F = network(z, logsnr, cond).

`Config.channels` is the number of z's channels. What else it may say is read by recipes and by the model:

    condition, tokens, maps   features of cond.vector and of cond.tokens, channels of cond.maps; 0 or absent: none
    takes_steps               true: the network is called with the step of a discrete schedule instead of log-SNR
    images_only               true: z is (b c h w), never a clip

A `Network` has takes_steps too, and step_lookup = "nearest" if a step is the row of a table rather than a number.
It may have `levels()`: of each of its levels, the finest first, the blocks that `train.recompute` lets forget what they
computed. A block is called as a module, with features and whatever else it needs, by position. And it may have
`remember(memory)`: then `sample.cache` can let a `blocks.memory.Memory` stand in for what lies below its finest level.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond


def check_doors(config: Any, cond: Cond) -> None:
    """Raises ValueError if the condition is not what the network of this Config was made for."""
    vector, tokens, maps = cond.vector, cond.tokens, cond.maps
    for setting, door, given in (
        ("condition", "a vector", 0 if vector is None else vector.shape[1]),
        ("tokens", "tokens", 0 if tokens is None else tokens.shape[2]),
        ("maps", "maps", 0 if maps is None else maps.shape[1]),
    ):
        made_for = getattr(config, setting, None)
        if given and made_for is None:
            name = type(config).__module__.rpartition(".")[2]
            raise ValueError(f"the condition has {door}, for which {name} has no door")
        if given != (made_for or 0):
            raise ValueError(
                f"the condition has {door} of {given} features; the network was made for {setting}={made_for}"
            )


def maps_of(z: Float[Tensor, "b c *fhw"], maps: Float[Tensor, "b m *any"]) -> Float[Tensor, "b m *fhw"]:
    """A condition's maps beside z. Of one pixel, as a null may be, they are repeated; a picture's are of one frame."""
    maps = maps.to(z)
    return (maps if maps.ndim == z.ndim else maps[:, :, None]).expand(-1, -1, *z.shape[2:])


def check_positive(config: Any, *settings: str) -> None:
    """Raises ValueError at the first setting that is below 1."""
    for setting in settings:
        if getattr(config, setting) < 1:
            raise ValueError(f"{setting}={getattr(config, setting)} is not positive; use 1 or more")


def check_not_negative(config: Any, *settings: str) -> None:
    """Raises ValueError at the first setting that is below 0."""
    for setting in settings:
        if getattr(config, setting) < 0:
            raise ValueError(f"{setting}={getattr(config, setting)} is negative; use 0 for none")


def check_mults(mults: tuple[int, ...], least: int = 1) -> None:
    """Raises ValueError unless there are `least` levels, each with a positive number."""
    if len(mults) < least or min(mults) < 1:
        raise ValueError(f"mults={mults} needs one positive number a level, and {least} or more; use [1, 2, 4]")


def check_attention(attention: tuple[int, ...], levels: int) -> None:
    """Raises ValueError if there is a level among these that the network has not."""
    if wrong := [level for level in attention if not 0 <= level < levels]:
        raise ValueError(f"attention={attention} names level {wrong[0]}; mults gives {levels}, counted from 0")


def check_groups(width: int, groups: int) -> None:
    """Raises ValueError if channels cannot be normalised in so many groups."""
    if groups < 1 or width % groups:
        most = next(most for most in (32, 16, 8, 4, 2, 1) if width % most == 0)
        raise ValueError(f"groups={groups} does not divide width={width}; use groups={most}")


def check_dropout(dropout: float) -> None:
    """Raises ValueError unless it leaves some of the features."""
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} is not a part of the features; use one in [0, 1), such as 0.1")
