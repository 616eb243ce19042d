"""Derivatives with respect to z inside of a sampler, which itself runs without any."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..diffusion.cond import Cond


class Watched(NamedTuple):
    """The arguments of a denoiser, in a state that autograd can differentiate."""

    z: Tensor
    logsnr: Tensor
    cond: Cond
    nested: bool  # a wrapper outside differentiates as well, so that the result keeps its graph


@contextmanager
def watch(z: Tensor, logsnr: Tensor, cond: Cond) -> Iterator[Watched]:
    """Autograd is on inside, though the caller be under no_grad or inference_mode."""
    nested = z.requires_grad and torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        logsnr, cond = _recorded(logsnr), cond.each(_recorded)
        yield Watched(z if nested else _recorded(z).detach().requires_grad_(), logsnr, cond, nested)


def gradient(
    value: Float[Tensor, "*any"],
    z: Float[Tensor, "b *chw"],
    weight: Float[Tensor, "*any"] | None = None,
    *,
    again: bool = False,
    twice: bool = False,
) -> Float[Tensor, "b *chw"]:
    """The gradient of sum(weight value) with respect to z, of sum(value) without a weight.

    again: another gradient of the same value follows. twice: the gradient itself can be differentiated.
    """
    grad = None
    if value.requires_grad:
        weight = torch.ones_like(value) if weight is None else weight
        (grad,) = torch.autograd.grad(
            value, z, weight, retain_graph=again or twice, create_graph=twice, allow_unused=True
        )
    if grad is None:
        raise ValueError(
            "guidance needs a gradient with respect to z of something that does not depend on z;"
            " is there a no_grad or a detach inside?"
        )
    return grad


def within(denoiser: object) -> Iterator[object]:
    """A denoiser, and those that it wraps."""
    yield denoiser
    if is_dataclass(denoiser):
        for field in fields(denoiser):
            yield from within(getattr(denoiser, field.name))


def _recorded(tensor: Tensor) -> Tensor:
    """What was made under inference_mode cannot be saved for a derivative; its copy can."""
    return tensor.clone() if tensor.is_inference() else tensor
