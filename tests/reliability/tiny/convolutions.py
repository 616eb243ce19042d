"""A video network of one's own, some milliseconds a step, with what a resume can get wrong: BatchNorm, dropout."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from filmgrain.blocks.embedding import noise_position, sinusoid
from filmgrain.diffusion.cond import Cond


@dataclass(frozen=True, kw_only=True)
class Config:
    """Three convolutions over space and time."""

    channels: int = 3  # of z
    width: int = 36  # channels between the convolutions
    condition: int = 0  # features of the condition's vector; 0 for none


class Network(nn.Module):
    """F(z, logsnr, cond) of clips (b c f h w)."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.width
        self.level = nn.Linear(width, width)
        self.first = nn.Conv3d(config.channels, width, 3, padding=1, stride=(1, 2, 2))
        self.middle = nn.Conv3d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.dropout = nn.Dropout(0.1)
        self.last = nn.ConvTranspose3d(width, config.channels, (3, 4, 4), padding=1, stride=(1, 2, 2))

    def forward(self, z: Tensor, logsnr: Tensor, cond: Cond) -> Tensor:
        h = self.first(z) + self.level(sinusoid(noise_position(logsnr), self.level.in_features))[..., None, None, None]
        return self.last(self.dropout(torch.relu(self.norm(self.middle(torch.relu(h))))))
