"""What a U-Net computes at low resolution, kept from one call to the next (Ma et al. 2024, DeepCache).

Along a sampler's walk the noise level changes little from step to step, and these features with it; the finest level,
where the noise is, is computed every time.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor


class Memory:
    """The features from below the finest level, computed at every `every`-th call and remembered in between.

    For one walk of one batch. A batch of another size is computed anew.
    """

    def __init__(self, every: int):
        self.every, self.age = every, 0
        self.kept: Tensor | None = None

    def __call__(self, h: Float[Tensor, "n c h w"], below: Callable[[Tensor], Tensor]) -> Float[Tensor, "n c2 h2 w2"]:
        """below(h), or what it was at an earlier call."""
        if self.kept is None or self.age == self.every or len(self.kept) != len(h):
            self.kept, self.age = below(h), 0
        self.age += 1
        return self.kept
