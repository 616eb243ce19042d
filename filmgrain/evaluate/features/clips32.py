"""A small network that tells kind, colour and motion of moving shapes: 64 pooled features of a clip, not those of FVD.

For clips of shapes and the like, that networks of real video see little in. Convolutions are of space, then of time
(Tran et al. 2018, "R(2+1)D"), so that features are of how things move and not only of what they are. Its weights lie
beside this file, so that they are the same on every machine. They were made, in two minutes of one core, by

    python -m filmgrain.evaluate.features.clips32 clips32.safetensors
"""

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from ...data import Dataset, moving_shapes
from ...files import tensors
from . import NOT_FVD, Extractor, Progress, fill, norm

SIDE, FEATURES, LEAST = 32, 64, 2  # pixels, features, frames
WEIGHTS = Path(__file__).with_suffix(".safetensors")
CLASSES = {
    "kind": tuple(moving_shapes.KINDS),
    "colour": tuple(moving_shapes.COLOURS),
    "motion": moving_shapes.MOTIONS,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """How it is trained."""

    clips: int = 6000  # that it learns from, of 16 frames
    unseen: int = 300  # that it is tried on
    steps: int = 600  # of AdamW, in turn on whole clips and on halves of 8 frames
    batch: int = 32
    lr: float = 4e-3  # highest, of a cosine that starts and ends near 0
    weight_decay: float = 1e-2
    noise: float = 25.0  # most, of 255, that is added to a clip; without, a trace of noise outweighs all else
    seed: int = 0  # of the first weights and of the order


def load(
    *, file: Path | None = None, data: Dataset | None = None, called: str = "", progress: Progress | None = None
) -> Extractor:
    """file: other weights of the same network. It has learnt from the built-in data, and learns from no others."""
    if data is not None:
        raise ValueError("clips32 is trained already, on the built-in shapes; leave --train-on out")
    file = file or WEIGHTS
    with torch.device("meta"):
        network = Clips32()
    fill(network, tensors.load(file), file, "clips32")
    return Extractor(
        network=network,
        kind="clips32",
        size=FEATURES,
        resize=f"bilinear to {SIDE}x{SIDE}, antialiased",
        about=tensors.header(file).metadata.get("about", ""),
        comparable=NOT_FVD,
        clips=True,
        frames=LEAST,
    )


class Clips32(nn.Module):
    """Three stages of 16, 8 and 4 pixels a side, the later ones of half and a quarter of the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            Stage(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise((3, 24, 48, FEATURES)), (1, 2, 2), strict=True)
        )
        self.classify = nn.ModuleDict({name: nn.Linear(FEATURES, len(classes)) for name, classes in CLASSES.items()})

    def forward(self, clips: UInt8[Tensor, "b 3 f h w"]) -> Float[Tensor, "b 64"]:
        return self.features(small(clips))

    def features(self, x: UInt8[Tensor, "b f 3 32 32"]) -> Float[Tensor, "b 64"]:
        y = x.float() / 127.5 - 1
        for stage in self.stages:
            y = stage(y)
        return y.mean((1, 3, 4))


class Stage(nn.Module):
    """A convolution of space that halves the side, and one of time."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.space = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.time = nn.Conv2d(outputs, outputs, (3, 1), stride=(stride, 1), padding=(1, 0), bias=False)
        self.norm_space, self.norm_time = norm(outputs), norm(outputs)

    def forward(self, y: Float[Tensor, "b f c h w"]) -> Float[Tensor, "b g d s t"]:
        b = len(y)
        y = F.relu(self.norm_space(self.space(rearrange(y, "b f c h w -> (b f) c h w"))))
        side = y.shape[-1]
        y = F.relu(self.norm_time(self.time(rearrange(y, "(b f) c h w -> b c f (h w)", b=b))))
        return rearrange(y, "b c f (h w) -> b f c h w", w=side)


def small(clips: UInt8[Tensor, "b 3 f h w"]) -> UInt8[Tensor, "b f 3 32 32"]:
    """Frame by frame, scaled."""
    frames = clips.transpose(1, 2)
    if frames.shape[-2:] == (SIDE, SIDE):
        return frames
    scaled = F.interpolate(
        frames.flatten(0, 1).float(), (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True
    )
    return scaled.round().clamp(0, 255).to(torch.uint8).unflatten(0, frames.shape[:2])


def _data(split: str, config: Config) -> moving_shapes.Dataset:
    """Of a seed that no run has by accident, and of more sizes than the default."""
    world = moving_shapes.Config(
        frames=16, height=SIDE, width=SIDE, radius=(0.16, 0.3), clips=config.clips, seed=3_232_323
    )
    return moving_shapes.Dataset(world, split)


@dataclass(frozen=True)
class Labelled:
    """Clips with the truth about them."""

    clips: UInt8[Tensor, "n 16 3 32 32"]
    labels: dict[str, Int64[Tensor, " n"]]  # for each of CLASSES

    @classmethod
    def of(cls, data: moving_shapes.Dataset, count: int) -> "Labelled":
        items = [data.item(i) for i in range(count)]
        truths = [item["truth"][0] for item in items]
        return cls(
            torch.stack([torch.from_numpy(item["x"]).transpose(0, 1) for item in items]),
            {
                name: torch.tensor([classes.index(getattr(truth, name)) for truth in truths])
                for name, classes in CLASSES.items()
            },
        )


def train(config: Config, progress: Progress | None = None) -> tuple[Clips32, str]:
    """A network, and how often it is right of clips that it has not seen."""
    data = Labelled.of(_data("train", config), config.clips)
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Clips32()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps)
    for step in range(config.steps):
        chosen = torch.randint(config.clips, (config.batch,), generator=generator)
        clips = data.clips[chosen]
        features = network.features(noised(clips[:, :8] if step % 2 else clips, config.noise, generator))
        loss = torch.stack(
            [F.cross_entropy(head(features), data.labels[name][chosen]) for name, head in network.classify.items()]
        )
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, config.steps)
    network.eval()
    return network, told(network, Labelled.of(_data("held_out", config), config.unseen))


def noised(clips: UInt8[Tensor, "b f c h w"], most: float, generator: torch.Generator) -> UInt8[Tensor, "b f c h w"]:
    """With white noise, of another strength for each clip: half of them have less than a quarter of `most`."""
    strength = most * torch.rand(len(clips), 1, 1, 1, 1, generator=generator).square()
    noise = torch.randn(clips.shape, generator=generator)
    return (clips + strength * noise).round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def told(network: Clips32, unseen: Labelled) -> str:
    """How often it is right, of whole clips."""
    features = torch.cat([network.features(part) for part in unseen.clips.split(64)])
    right = {
        name: float((head(features).argmax(1) == unseen.labels[name]).double().mean())
        for name, head in network.classify.items()
    }
    shares = ", ".join(f"{name} {share:.1%}" for name, share in right.items())
    return f"of {len(unseen.clips)} unseen clips right in {shares}"


if __name__ == "__main__":
    network, about = train(Config())
    tensors.save(Path(sys.argv[1]), network.state_dict(), {"about": f"trained on moving shapes: {about}"})
