"""Cond: the three doors by which a condition enters a network. Only conditioners fill it, only networks read it."""

from collections.abc import Callable, Sequence
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
        """`null` for the samples not kept: the training half of classifier-free guidance (Ho & Salimans 2022).

        A null of fewer tokens stays of so many: the others are masked.
        """

        def pick(both: Tensor) -> Tensor:
            yes, no = both.chunk(2)
            return torch.where(keep.reshape(-1, *(1,) * (yes.ndim - 1)), yes, no)

        return stack([self, null]).each(pick)

    def each(self, change: Callable[[Tensor], Tensor]) -> "Cond":
        """What `change` makes of every door that is filled."""
        doors = (self.vector, self.tokens, self.token_mask, self.maps)
        return Cond(*(None if door is None else change(door) for door in doors))

    def expand(self, batch: int) -> "Cond":
        """The condition of one sample as that of `batch` samples; one of `batch` samples stays as it is."""

        def widen(door: Tensor) -> Tensor:
            if len(door) not in (1, batch):
                raise ValueError(f"the condition is of {len(door)} samples, z of {batch}; give one of 1 or of {batch}")
            return door.expand(batch, *door.shape[1:])

        return self.each(widen)

    @property
    def _real(self) -> Bool[Tensor, "b n"] | None:
        """The mask; without one, every token is real."""
        if self.tokens is None or self.token_mask is not None:
            return self.token_mask
        return torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)


def stack(conds: Sequence[Cond]) -> Cond:
    """Several conditions one after another along the batch.

    Tokens are padded with zeros to the longest, and masked there. All fill the same doors, as a null does.
    """

    def along_the_batch(door: str, parts: list[Tensor | None]) -> Tensor | None:
        there = [part for part in parts if part is not None]
        if there and len(there) < len(parts):
            raise ValueError(f"only some of the conditions have {door}; a null fills the doors of its condition")
        if not there:
            return None
        there = [_padded(part, longest) if door == "tokens" else part for part in there]
        size = torch.broadcast_shapes(*(part.shape[1:] for part in there))  # a null's maps may be of one pixel
        return torch.cat([part.expand(len(part), *size) for part in there])

    lengths = [cond.tokens.shape[1] for cond in conds if cond.tokens is not None]
    longest = max(lengths, default=0)
    masked = min(lengths, default=0) < longest or any(cond.token_mask is not None for cond in conds)
    return Cond(
        vector=along_the_batch("a vector", [cond.vector for cond in conds]),
        tokens=along_the_batch("tokens", [cond.tokens for cond in conds]),
        token_mask=along_the_batch("tokens", [cond._real for cond in conds]) if masked else None,
        maps=along_the_batch("maps", [cond.maps for cond in conds]),
    )


def _padded(tokens: Tensor, length: int) -> Tensor:
    """(b, n, ...) with zeros up to n = length; false for a mask."""
    missing = tokens.new_zeros(len(tokens), length - tokens.shape[1], *tokens.shape[2:])
    return torch.cat([tokens, missing], dim=1)


def _masked(a: Cond, b: Cond) -> bool:
    return a.token_mask is not None or b.token_mask is not None


def _join(a: Tensor | None, b: Tensor | None, how: Callable[[Tensor, Tensor], Tensor]) -> Tensor | None:
    return b if a is None else a if b is None else how(a, b)


def _side_by_side(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], dim=1)
