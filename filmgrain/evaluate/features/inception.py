"""Inception v3 (Szegedy et al. 2015): the 2048 pooled features of FID, from one's own file of weights.

Read are the two layouts in use, which differ in their last layer and in how they pool: that of the FID checkpoint
`pt_inception-2015-12-05-6726825d.pth` (1008 classes; TensorFlow's pooling, as pytorch-fid has it), and torchvision's
`inception_v3` (1000 classes). Only the former, known by its file's hash, makes a Fréchet distance that is FID.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from ...data import Dataset
from ...interop import Refused
from . import NOT_FID, Extractor, Progress, fill, norm, read

FID = "6726825d"  # how the sha256 of the FID checkpoint begins, as its name says
SIDE = 299  # pixels
Pool = Callable[[Tensor], Tensor]
Layer = tuple[str, int, tuple[int, int]]  # name, channels, kernel
Steps = list[list[Layer]]  # one after another, each of layers side by side


def load(
    *, file: Path | None = None, data: Dataset | None = None, called: str = "", progress: Progress | None = None
) -> Extractor:
    if file is None or data is not None:
        raise ValueError("inception takes its weights from a file, and nothing to train on; give --extractor-file FILE")
    state = read(file)
    last = state.get("fc.weight")
    if last is None or last.ndim != 2 or len(last) not in POOLINGS:
        found = "is missing" if last is None else f"has shape {tuple(last.shape)}"
        raise Refused(f"{file} is not of Inception v3: fc.weight {found}; expected (1008, 2048) or (1000, 2048)")
    with torch.device("meta"):
        network = Inception(POOLINGS[len(last)])
    fill(network, state, file, "Inception v3", unused=("fc.", "AuxLogits."))
    with file.open("rb") as opened:
        fid = hashlib.file_digest(opened, "sha256").hexdigest().startswith(FID)
    resize = f"bilinear to {SIDE}x{SIDE} without antialiasing"
    comparable = "FID" if fid else NOT_FID
    return Extractor(network=network, kind="inception", size=2048, resize=resize, fid=fid, comparable=comparable)


class Inception(nn.Module):
    """Up to the last pooling. Layers run in the order in which they stand, under the checkpoints' names."""

    def __init__(self, pools: "Pools"):
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Conv(32, 64, (3, 3), padding=(1, 1))
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = Conv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Conv(80, 192, (3, 3))
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = narrow(192, pools.usual, pooled=32)
        self.Mixed_5c = narrow(256, pools.usual, pooled=64)
        self.Mixed_5d = narrow(288, pools.usual, pooled=64)
        self.Mixed_6a = Mixed(288, [steps("branch3x3", (384, 3, 3)), DOUBLE], halved, stride=2)
        self.Mixed_6b = long(128, pools.usual)
        self.Mixed_6c = long(160, pools.usual)
        self.Mixed_6d = long(160, pools.usual)
        self.Mixed_6e = long(192, pools.usual)
        self.Mixed_7a = Mixed(768, [steps("branch3x3", (192, 1, 1), (320, 3, 3)), SEVEN], halved, stride=2)
        self.Mixed_7b = wide(1280, pools.usual)
        self.Mixed_7c = wide(2048, pools.last)

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048"]:
        x = F.interpolate(images.float() / 255, (SIDE, SIDE), mode="bilinear", align_corners=False)
        x = 2 * x - 1
        for layer in self.children():
            x = layer(x)
        return x.mean((2, 3))


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, channels: int, out: int, kernel: tuple[int, int], *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = norm(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Paths of layers side by side, and a pooled one, joined in this order.

    stride: of each path's last layer, which is not padded where it is above 1; all other layers keep the size.
    """

    def __init__(self, channels: int, paths: list[Steps], pool: Pool, *, pooled: int = 0, stride: int = 1):
        super().__init__()
        self.pool, self.paths = pool, [[[name for name, *_ in step] for step in path] for path in paths]
        for path in paths:
            width = channels
            for i, step in enumerate(path, start=1):
                taken = stride if i == len(path) else 1
                for name, out, kernel in step:
                    padding = (kernel[0] // 2, kernel[1] // 2) if taken == 1 else (0, 0)
                    self.add_module(name, Conv(width, out, kernel, stride=taken, padding=padding))
                width = sum(out for _, out, _ in step)
        self.branch_pool = Conv(channels, pooled, (1, 1)) if pooled else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        joined = []
        for path in self.paths:
            y = x
            for names in path:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            joined.append(y)
        return torch.cat([*joined, self.branch_pool(self.pool(x))], dim=1)


FORK = (384, 0, 0)  # of a step: a layer of 1x3 beside one of 3x1


def steps(name: str, *layers: tuple[int, int, int]) -> Steps:
    """Layers NAME_1, NAME_2 ... of (channels, height and width of the kernel); a single one is called NAME."""
    found: Steps = []
    for i, (out, height, width) in enumerate(layers, start=1):
        if (out, height, width) == FORK:
            found.append([(f"{name}_{i}a", out, (1, 3)), (f"{name}_{i}b", out, (3, 1))])
        else:
            found.append([(name if len(layers) == 1 else f"{name}_{i}", out, (height, width))])
    return found


DOUBLE = steps("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3))
SEVEN = steps("branch7x7x3", (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3))


def narrow(channels: int, pool: Pool, *, pooled: int) -> Mixed:
    fives = steps("branch5x5", (48, 1, 1), (64, 5, 5))
    return Mixed(channels, [steps("branch1x1", (64, 1, 1)), fives, DOUBLE], pool, pooled=pooled)


def long(width: int, pool: Pool) -> Mixed:
    """With long kernels, across and down in turn."""
    once = steps("branch7x7", (width, 1, 1), (width, 1, 7), (192, 7, 1))
    twice = steps("branch7x7dbl", (width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7))
    return Mixed(768, [steps("branch1x1", (192, 1, 1)), once, twice], pool, pooled=192)


def wide(channels: int, pool: Pool) -> Mixed:
    threes = steps("branch3x3", (384, 1, 1), FORK)
    double = steps("branch3x3dbl", (448, 1, 1), (384, 3, 3), FORK)
    return Mixed(channels, [steps("branch1x1", (320, 1, 1)), threes, double], pool, pooled=192)


class Pools(NamedTuple):
    usual: Pool
    last: Pool  # of Mixed_7c


def mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)


def mean_inside(x: Tensor) -> Tensor:
    """Of the picture only, without the zeros around it."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def largest(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


def halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2)


POOLINGS = {1008: Pools(mean_inside, largest), 1000: Pools(mean, mean)}  # by the classes of the layout
