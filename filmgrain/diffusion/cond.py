"""Cond: the three doors by which a condition enters a network. Only conditioners fill it, only networks read it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Cond:
    """No condition at all by default. Conditions join with `|`."""

    vector: Float[Tensor, "b d"] | None = None  # joined to the noise-level embedding (class, frame rate, pooled text)
    tokens: Float[Tensor, "b n e"] | None = None  # attended to (text)
    token_mask: Bool[Tensor, "b n"] | None = None  # true where a token is real
    maps: Float[Tensor, "b c *fhw"] | None = None  # concatenated to z's channels (low-resolution copy, known frames)

    def __or__(self, other: "Cond") -> "Cond":
        """Both conditions at once: vectors add, tokens and maps are put side by side."""
        return Cond(
            vector=_join(self.vector, other.vector, torch.add),
            tokens=_join(self.tokens, other.tokens, _side_by_side),
            token_mask=_join(self._real, other._real, _side_by_side) if _masked(self, other) else None,
            maps=_join(self.maps, other.maps, _side_by_side),
        )

    def drop(self, null: "Cond", keep: Bool[Tensor, " b"]) -> "Cond":
        """`null` for the samples not kept: the training half of classifier-free guidance (Ho & Salimans 2022)."""

        def pick(door: str, yes: Tensor | None, no: Tensor | None) -> Tensor | None:
            if yes is None and no is None:
                return None
            if yes is None or no is None:
                raise ValueError(f"only one of the condition and its null has {door}; a null fills the same doors")
            return torch.where(keep.reshape(-1, *(1,) * (yes.ndim - 1)), yes, no)

        return Cond(
            vector=pick("a vector", self.vector, null.vector),
            tokens=pick("tokens", self.tokens, null.tokens),
            token_mask=pick("tokens", self._real, null._real) if _masked(self, null) else None,
            maps=pick("maps", self.maps, null.maps),
        )

    @property
    def _real(self) -> Bool[Tensor, "b n"] | None:
        """The mask; without one, every token is real."""
        if self.tokens is None or self.token_mask is not None:
            return self.token_mask
        return torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)


def _masked(a: Cond, b: Cond) -> bool:
    return a.token_mask is not None or b.token_mask is not None


def _join(a: Tensor | None, b: Tensor | None, how: Callable[[Tensor, Tensor], Tensor]) -> Tensor | None:
    return b if a is None else a if b is None else how(a, b)


def _side_by_side(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], dim=1)
