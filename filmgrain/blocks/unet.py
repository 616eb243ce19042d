"""The U of residual blocks by which images are denoised (Ho et al. 2020, app. B; Ronneberger et al. 2015)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .memory import Memory
from .resample import Double, Half


class UNet(nn.Module):
    """Features of `width` channels to features of `mults[0] * width` channels, of the same height and width.

        level 1 ... level L -> middle -> level L ... level 1
        level: `blocks` blocks, then half the size; on the way back one block more, then twice the size

    The first features and those behind every block and every halving go across, one to each block of the way back.
    `block(inputs, outputs, level)` makes a block of level 0 ... L - 1; it is called with features and the context.
    corner: of each `Half`. A `memory` may stand in for all levels but the first.
    """

    def __init__(
        self,
        width: int,
        mults: Sequence[int],
        blocks: int,
        block: Callable[[int, int, int], nn.Module],
        middle: Callable[[int], list[nn.Module]],
        corner: bool = False,
    ):
        super().__init__()
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        self.blocks = blocks
        self.memory: Memory | None = None
        inputs, across, last = width, [width], len(mults) - 1
        for level, mult in enumerate(mults):
            for _ in range(blocks):
                self.downs.append(block(inputs, mult * width, level))
                across.append(inputs := mult * width)
            if level < last:
                self.downs.append(Half(inputs, corner))
                across.append(inputs)
        self.middle = nn.ModuleList(middle(inputs))
        for level, mult in reversed([*enumerate(mults)]):
            for _ in range(blocks + 1):
                self.ups.append(block(inputs + across.pop(), mult * width, level))
                inputs = mult * width
            if level > 0:
                self.ups.append(Double(inputs))

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level, the finest first; those of the middle are of the last."""
        levels: list[list[nn.Module]] = [[]]
        for layer in self.downs:
            if isinstance(layer, Half):
                levels.append([])
            else:
                levels[-1].append(layer)
        levels[-1] += self.middle
        level = len(levels) - 1
        for layer in self.ups:
            if isinstance(layer, Double):
                level -= 1
            else:
                levels[level].append(layer)
        return levels

    def forward(self, h: Float[Tensor, "n c h w"], *context: object) -> Float[Tensor, "n c2 h w"]:
        downs, ups = list(self.downs), list(self.ups)
        across = self._down(downs[: self.blocks], h, context)

        def below(h: Tensor) -> Tensor:
            deeper = self._down(downs[self.blocks :], h, context)
            h = deeper[-1]
            for layer in self.middle:
                h = layer(h, *context)
            return self._up(ups[: -self.blocks - 1], h, deeper[1:], context)

        h = across[-1]
        h = below(h) if self.memory is None else self.memory(h, below)
        return self._up(ups[-self.blocks - 1 :], h, across, context)

    def _down(self, layers: list[nn.Module], h: Tensor, context: tuple[object, ...]) -> list[Tensor]:
        """h, and what each layer makes of it."""
        across = [h]
        for layer in layers:
            h = layer(h) if isinstance(layer, Half) else layer(h, *context)
            across.append(h)
        return across

    def _up(self, layers: list[nn.Module], h: Tensor, across: list[Tensor], context: tuple[object, ...]) -> Tensor:
        for layer in layers:
            h = layer(h) if isinstance(layer, Double) else layer(torch.cat([h, across.pop()], dim=1), *context)
        return h
