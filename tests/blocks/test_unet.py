"""The U of blocks: its order, and what goes across."""

import torch
from torch import Tensor, nn

from filmgrain.blocks.resample import Double, Half
from filmgrain.blocks.unet import UNet


class Noted(nn.Module):
    """A block that writes down what it is given, and gives so many channels of ones."""

    def __init__(self, notes: list[str], inputs: int, outputs: int, level: int | str):
        super().__init__()
        self.notes, self.inputs, self.outputs, self.level = notes, inputs, outputs, level

    def forward(self, x: Tensor, told: str) -> Tensor:
        assert x.shape[1] == self.inputs and told == "told"
        self.notes.append(f"{self.level}: {self.inputs} -> {self.outputs} at {x.shape[-1]}")
        return torch.ones(len(x), self.outputs, *x.shape[2:])


def test_levels_go_down_and_come_back_with_one_block_more():
    notes: list[str] = []
    unet = UNet(
        2,
        (1, 3),
        2,
        block=lambda inputs, outputs, level: Noted(notes, inputs, outputs, level),
        middle=lambda channels: [Noted(notes, channels, channels, "middle")],
    )
    assert unet(torch.ones(1, 2, 4, 4), "told").shape == (1, 2, 4, 4)
    down = ["0: 2 -> 2 at 4", "0: 2 -> 2 at 4", "1: 2 -> 6 at 2", "1: 6 -> 6 at 2", "middle: 6 -> 6 at 2"]
    up = ["1: 12 -> 6 at 2", "1: 12 -> 6 at 2", "1: 8 -> 6 at 2", "0: 8 -> 2 at 4", "0: 4 -> 2 at 4", "0: 4 -> 2 at 4"]
    assert notes == down + up
    assert [type(layer) for layer in unet.downs if not isinstance(layer, Noted)] == [Half]
    assert [type(layer) for layer in unet.ups if not isinstance(layer, Noted)] == [Double]


def test_the_last_to_go_across_is_the_first_to_arrive():
    """Blocks hand their first input channel on and add one: what arrives second tells where it was left."""

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            arrived.append(x[0, 1:, 0, 0].tolist())
            return x[:, :1] + 1

    arrived: list[list[float]] = []
    unet = UNet(1, (1,), 2, block=lambda *_: Counts(), middle=lambda channels: [Counts()])
    unet(torch.zeros(1, 1, 2, 2))
    assert arrived == [[], [], [], [2.0], [1.0], [0.0]]
