"""A small classifier of 28x28 grey pictures, trained here on labelled data of one's own: 128 pooled features.

For digits, garments and the like, that networks of photographs see little in. It is trained in about a minute, the
same way every time, and kept beside the cache under the hash of its data and settings. Another machine may round
otherwise and arrive at other weights: another extractor, by another name. To share numbers, share the file.
"""

import hashlib
import json
import os
import random
import re
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from ...data import Dataset, cache
from ...files import tensors
from ...interop import Refused
from ..pictures import still
from . import Extractor, Progress, fill, norm

SIDE, FEATURES = 28, 128
ENOUGH = 100  # pictures to train on
VERSION = 1  # of the network and of how it is trained; its name hashes weights alone


@dataclass(frozen=True, kw_only=True)
class Config:
    """How it is trained."""

    steps: int = 1000  # of AdamW; twice through 60,000 pictures
    batch: int = 128
    lr: float = 3e-3  # highest, of a cosine that starts and ends near 0
    weight_decay: float = 1e-2
    seed: int = 0  # of the first weights and of the order


TRAINING = Config()


def load(
    *, file: Path | None = None, data: Dataset | None = None, called: str = "data", progress: Progress | None = None
) -> Extractor:
    """file: what was kept of an earlier training, here or elsewhere. Raises ValueError for data without labels."""
    if (file is None) == (data is None):
        raise ValueError("small28 is trained on labelled data or read from a file; give --train-on or --extractor-file")
    if data is not None:
        file = trained(Labelled.of(data), called, progress)
    assert file is not None
    state, about = tensors.load(file), tensors.header(file).metadata
    if about.get("version", str(VERSION)) != str(VERSION):
        raise Refused(f"{file} is of small28 {about['version']}, and this is {VERSION}; train it again")
    with torch.device("meta"):
        network = Small28(classes=len(state.get("classify.bias", [0])))
    fill(network, state, file, "small28")
    convert_conv2d_weight_memory_format(network, torch.channels_last)
    return Extractor(
        network=network,
        kind=f"small28-{about.get('called', 'data')}",
        size=FEATURES,
        resize=f"grey, bilinear to {SIDE}x{SIDE}, antialiased",
        about=about.get("about", ""),
    )


class Small28(nn.Module):
    """Three convolutions, of 28, 14 and 7 pixels a side; its features are the means of the last one's channels."""

    def __init__(self, classes: int):
        super().__init__()
        widths = [1, 32, 64, FEATURES]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(norm(width) for width in widths[1:])
        self.classify = nn.Linear(FEATURES, classes)

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 128"]:
        return self.features(small(images))

    def features(self, x: UInt8[Tensor, "b 28 28"]) -> Float[Tensor, "b 128"]:
        y = x[:, None].float() / 127.5 - 1
        for i, (conv, settle) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = conv(y)
            y = F.relu(settle(F.max_pool2d(y, 2) if i < 2 else y))
        return y.mean((2, 3))


def small(images: UInt8[Tensor, "b c h w"]) -> UInt8[Tensor, "b 28 28"]:
    """Grey, as the mean of the channels, and scaled."""
    grey = images.float().mean(1, keepdim=True)
    if grey.shape[-2:] != (SIDE, SIDE):
        grey = F.interpolate(grey, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    return grey[:, 0].round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Labelled:
    """All pictures of a data set, with their classes."""

    pictures: UInt8[Tensor, "n 28 28"]
    labels: Int64[Tensor, " n"]

    @classmethod
    def of(cls, data: Dataset) -> "Labelled":
        """Raises ValueError for data without labels, and for too few."""
        pictures, labels = [], []
        for i in range(len(data)):
            item = data.item(i, random.Random(f"small28:{i}"))
            pictures.append(small(still(torch.tensor(item["x"]), 0, i)[None]))
            labels.append(int(item.get("label", -1)))
        if len(labels) < ENOUGH or min(labels) < 0 or max(labels) < 1:
            raise ValueError(
                f"small28 learns from labelled pictures; of these {len(labels)}, {sum(k < 0 for k in labels)} have no "
                f"label and the highest is {max(labels, default=-1)}; give {ENOUGH} or more, in two classes or more"
            )
        return cls(torch.cat(pictures), torch.tensor(labels))

    @property
    def key(self) -> str:
        """A hash of all that the weights are made from."""
        found = hashlib.sha256(json.dumps([VERSION, asdict(TRAINING)]).encode())
        found.update(self.pictures.numpy().tobytes())
        found.update(self.labels.numpy().tobytes())
        return found.hexdigest()


def trained(data: Labelled, called: str, progress: Progress | None = None) -> Path:
    """The file of weights trained on these data, which is made if it is not there."""
    path = cache.folder().parent / "extractors" / f"small28-{data.key}.safetensors"
    if not path.is_file():
        network, about = train(data, TRAINING, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        called = re.sub(r"[^a-z0-9]+", "-", called.lower()).strip("-") or "data"
        notes = {"version": str(VERSION), "called": called, "about": f"trained on {called}: {about}"}
        tensors.save(part, network.state_dict(), notes)
        part.replace(path)
    return path


def train(data: Labelled, config: Config, progress: Progress | None = None) -> tuple[Small28, str]:
    """A network trained on all but a tenth of the data, and what it makes of that tenth."""
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(data.labels), generator=generator)
    unseen, seen = order[: len(order) // 10], order[len(order) // 10 :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Small28(int(data.labels.max()) + 1)
    convert_conv2d_weight_memory_format(network, torch.channels_last)  # 1.4 times as fast
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps)
    for step in range(config.steps):
        chosen = seen[torch.randint(len(seen), (config.batch,), generator=generator)]
        loss = F.cross_entropy(network.classify(network.features(data.pictures[chosen])), data.labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, config.steps)
    network.eval()
    with torch.no_grad():
        guesses = [network.classify(network.features(data.pictures[part])).argmax(1) for part in unseen.split(256)]
    right = (torch.cat(guesses) == data.labels[unseen]).double().mean()
    return network, f"{int(data.labels.max()) + 1} classes, {right:.1%} of {len(unseen):,} unseen pictures right"
