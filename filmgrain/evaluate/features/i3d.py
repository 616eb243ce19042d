"""I3D (Carreira & Zisserman 2017): the 400 Kinetics logits of FVD (Unterthiner et al. 2018), from one's own weights.

Read are files of pytorch-i3d's layout, `rgb_imagenet.pt` and `i3d_pretrained_400.pt`, and the same tensors as
safetensors. A TorchScript archive, such as `i3d_torchscript.pt`, is a program and is refused: where you trust it, take
the weights out of it. Clips are scaled as FVD's PyTorch ports do; no figure here has been held against one of theirs.
"""

import math
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from ...data import Dataset
from . import Extractor, Progress, fill, norm, read

SIDE = 224  # pixels
LEAST = 9  # frames, of which two are left where the last pooling takes two
AT_ONCE = 4  # clips; memory grows with it
MIXED = {  # channels: of 1x1; of 1x1 and then 3x3x3; of 1x1 and then 3x3x3; of 1x1 after pooling
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def load(
    *, file: Path | None = None, data: Dataset | None = None, called: str = "", progress: Progress | None = None
) -> Extractor:
    if file is None or data is not None:
        raise ValueError("i3d takes its weights from a file, and nothing to train on; give --extractor-file FILE")
    with torch.device("meta"):
        network = I3D()
    fill(network, read(file), file, "I3D of 400 classes")
    return Extractor(
        network=network,
        kind="i3d",
        size=400,
        resize=f"bilinear to {SIDE}x{SIDE} without antialiasing",
        comparable="FVD of these weights, not checked against published figures",
        clips=True,
        frames=LEAST,
    )


class I3D(nn.Module):
    """Layers run in the order in which they stand, under the names of pytorch-i3d's checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, stride=2)
        self.MaxPool3d_2a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        self.MaxPool3d_3a_3x3 = Pool((1, 3, 3), (1, 2, 2))
        channels = 192
        for name, widths in MIXED.items():
            if name in ("Mixed_4b", "Mixed_5b"):
                size = 3 if name == "Mixed_4b" else 2
                self.add_module(f"MaxPool3d_{name[6]}a", Pool((size,) * 3, (2, 2, 2)))
            self.add_module(name, Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.avg_pool = nn.AvgPool3d((2, 7, 7), stride=1)
        self.logits = nn.Sequential(OrderedDict(conv3d=nn.Conv3d(channels, 400, 1)))

    def forward(self, clips: UInt8[Tensor, "b 3 f h w"]) -> Float[Tensor, "b 400"]:
        return torch.cat([self.of(resized(part)) for part in clips.split(AT_ONCE)])

    def of(self, x: Float[Tensor, "b 3 f 224 224"]) -> Float[Tensor, "b 400"]:
        """Logits, their mean over time. x in [-1, 1]."""
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3, 4))


def resized(clips: UInt8[Tensor, "b 3 f h w"]) -> Float[Tensor, "b 3 f 224 224"]:
    frames = clips.transpose(1, 2).flatten(0, 1).float()
    frames = F.interpolate(frames, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return (frames / 127.5 - 1).unflatten(0, (len(clips), -1)).transpose(1, 2)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int = 1):
        super().__init__()
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = norm(out, 0.001, nn.BatchNorm3d)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(same(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Pool(nn.Module):
    """The largest value. What is padded is 0, as where the weights were trained: nothing that comes in is less."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(same(x, self.kernel, self.stride), self.kernel, self.stride)


class Mixed(nn.Module):
    """Four paths side by side, joined."""

    def __init__(self, channels: int, widths: tuple[int, ...]):
        super().__init__()
        self.b0 = Unit(channels, widths[0], 1)
        self.b1a, self.b1b = Unit(channels, widths[1], 1), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(channels, widths[3], 1), Unit(widths[3], widths[4], 3)
        self.b3a, self.b3b = Pool((3, 3, 3), (1, 1, 1)), Unit(channels, widths[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


def same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Padded as TensorFlow's "SAME": to ceil(size / stride) positions, the odd one behind."""
    around: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        around = [total // 2, total - total // 2, *around]
    return F.pad(x, around)
