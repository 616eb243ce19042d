"""A foreign state dict: found under its prefix, known by one of its tensors, and fitted to a network of ours."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import Refused

MARKS = {  # a tensor of each architecture that the others have not
    "mid_attn.mem_kv": "denoising-diffusion-pytorch",
    "time_embedding.linear_1.weight": "diffusers",
    "time_embedding.timembedding.1.weight": "pytorch-ddpm",
    "time_rel_pos_bias.relative_attention_bias.weight": "video-diffusion-pytorch",
    "time_embed.0.weight": "guided-diffusion",
    "map_layer0.weight": "EDM",
    "x_embedder.proj.weight": "DiT",
}


def under(state: Any, kind: str, first: str) -> tuple[str, dict[str, Tensor]]:
    """The prefix of a network known by its tensor `first`, and its tensors without it. kind: the format expected."""
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise Refused(f"is not of {kind}: there is no state dict in it that holds {first}")
    if (other := architecture(state)) and other != kind:
        raise Refused(f"is not of {kind} but of {other}, by the names of its tensors")
    prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith(f".{first}")]
    if len(prefixes) != 1:
        raise Refused(f"is not of {kind}: {len(prefixes)} of its tensors are named {first}; expected one")
    (prefix,) = prefixes
    return prefix, {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def architecture(state: dict[str, Tensor]) -> str | None:
    """Whose network this is, where its names tell."""
    return next((kind for name in state for mark, kind in MARKS.items() if f".{name}".endswith(f".{mark}")), None)


def shape_of(state: dict[str, Tensor], name: str, ndim: int, kind: str) -> torch.Size:
    """The shape of a tensor that every network of this kind has."""
    if name not in state or state[name].ndim != ndim:
        found = tuple(state[name].shape) if name in state else "missing"
        raise Refused(f"is not of {kind}: {name} is {found}; expected {ndim} axes")
    return state[name].shape


def fit(
    state: dict[str, Tensor],
    network: Callable[[], nn.Module],
    theirs: Callable[[str], tuple[str, ...]],
    make: str,
    spare: Callable[[str, Tensor], bool] = lambda name, tensor: False,
) -> dict[str, Tensor]:
    """The state of our network from theirs: renamed, axes of length 1 dropped, in float32.

    theirs: of a name of ours, their name; or their names, where ours is theirs one below the other.
    make: of the network, for messages. spare: whether a tensor that has no place may be left.
    Raises `Refused` at the first tensor that is missing, of another shape, not finite, or left over.
    """
    left = dict(state)
    fitted = {}
    for name, expected in _expected(network).items():
        names = theirs(name)
        shape = torch.Size([expected[0] // len(names), *expected[1:]])
        parts = [_taken(left, part, shape, make) for part in names]
        fitted[name] = torch.cat(parts).reshape(expected)
    for name, tensor in left.items():
        if not spare(name, tensor):
            raise Refused(f"does not fit {make}: {name} of shape {tuple(tensor.shape)} has no place in it")
    return fitted


def _expected(network: Callable[[], nn.Module]) -> dict[str, torch.Size]:
    try:
        with torch.device("meta"):
            return {name: tensor.shape for name, tensor in network().state_dict().items()}
    except RuntimeError as error:  # more elements than any tensor may have
        raise Refused(f"has shapes that no network has: {error}") from None


def _taken(left: dict[str, Tensor], name: str, shape: torch.Size, make: str) -> Tensor:
    tensor = left.pop(name, None)
    if tensor is None or _long(tensor.shape) != _long(shape):
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise Refused(f"does not fit {make}: {name} {found}; expected {tuple(shape)}, up to axes of length 1")
    if not tensor.is_floating_point() or not tensor.isfinite().all():
        raise Refused(f"is of no use: {name} ({tensor.dtype}) holds other than finite numbers")
    return tensor.float().reshape(shape)


def _long(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]
