"""Checkpoints of the public PyTorch version of DDPM on CIFAR-10 (pytorch-ddpm) as our ddpm_unet.

What is read: the dict {net_model, ema_model, sched, optim, step, x_T} that it saves, or a state dict of its UNet. The
network's make is told from the names and shapes of its tensors. What none of them tells is taken to be as published:
dropout, and betas from 1e-4 to 0.02.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from ..diffusion.tables import LinearBeta
from ..model import Config as ModelConfig
from ..networks.ddpm_unet import Config, Network
from . import Imported, Refused, about, torch_file
from .state_dict import fit, shape_of, under

KIND = "pytorch-ddpm"
FIRST = "head.weight"  # the tensor by which its UNet is known, whatever its prefix
TABLE = "time_embedding.timembedding.0.weight"
THEIRS = [  # our names -> theirs, each applied in turn
    (r"^time\.table$", TABLE),
    (r"^time\.layers\.0", "time_embedding.timembedding.1"),
    (r"^time\.layers\.2", "time_embedding.timembedding.3"),
    (r"^first", "head"),
    (r"^norm\.", "tail.0."),
    (r"^out\.", "tail.2."),
    (r"^body\.middle", "middleblocks"),
    (r"^body\.(down|up)s", r"\1blocks"),
    (r"(blocks\.\d+)\.conv\.", r"\1.main."),  # of a change of size
    (r"\.attention\.norm", ".attn.group_norm"),
    (r"\.attention\.([qkv])\.", r".attn.proj_\1."),
    (r"\.attention\.out", ".attn.proj"),
    (r"\.norm1", ".block1.0"),
    (r"\.conv1", ".block1.2"),
    (r"\.time\.", ".temb_proj.1."),
    (r"\.norm2", ".block2.0"),
    (r"\.conv2", ".block2.3"),
]


def read(path: Path, *, size: int = 32) -> Imported:
    """The checkpoint's networks, raw and averaged. size: pixels a side of what they shall sample.

    Raises `Refused` for a file that is unsafe or of another architecture.
    """
    contents = torch_file.load(path)
    with about(path):
        return _imported(contents, size)


def _imported(contents: Any, size: int) -> Imported:
    if not isinstance(contents, dict):
        raise Refused(f"holds a {type(contents).__name__}; expected the dict of its trainer or a state dict")
    step, model = contents.get("step", 0), contents.get("net_model", contents)
    _, raw = under(model, KIND, FIRST)
    _, averaged = under(contents.get("ema_model", model), KIND, FIRST)
    config = config_of(raw)
    averages = convert(averaged, config)
    del averages["time.table"]  # which is no parameter
    return Imported(
        network_config=config,
        model_config=ModelConfig(prediction="eps", schedule=LinearBeta(steps=config.table, scale=False)),
        model_state=convert(raw, config),
        ema_state=averages,
        step=step if isinstance(step, int) and step >= 0 else 0,
        shape=(config.channels, size, size),
    )


def config_of(state: dict[str, Tensor]) -> Config:
    """What the network is made of, told from the names and shapes of its tensors."""
    numbers = {int(found[1]) for name in state if (found := re.match(r"downblocks\.(\d+)\.", name))}
    levels: list[list[str]] = [[]]
    for number in sorted(numbers):
        block = f"downblocks.{number}"
        if f"{block}.main.weight" in state:
            levels.append([])
        else:
            levels[-1].append(block)
    width, channels = shape_of(state, FIRST, 4, KIND)[:2]

    def outputs(block: str) -> int:
        return shape_of(state, f"{block}.block1.2.weight", 4, KIND)[0]

    def attends(block: str) -> bool:
        return f"{block}.attn.proj.weight" in state

    try:
        return Config(
            channels=channels,
            width=width,
            mults=tuple(outputs(blocks[0]) // width for blocks in levels),
            attention=tuple(level for level, blocks in enumerate(levels) if attends(blocks[0])),
            blocks=len(levels[0]),
            table=shape_of(state, TABLE, 2, KIND)[0],
        )
    except (ValueError, ZeroDivisionError, IndexError) as error:
        raise Refused(f"has shapes that no ddpm_unet has: {error}") from None


def convert(state: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The state of our network from that of their UNet."""
    make = f"ddpm_unet of width {config.width}, mults {config.mults}, {config.blocks} blocks, attention at levels "
    return fit(state, lambda: Network(config), lambda name: (their_name(name),), f"{make}{config.attention}")


def their_name(name: str) -> str:
    """`first.weight` -> `head.weight`."""
    for pattern, replacement in THEIRS:
        name = re.sub(pattern, replacement, name)
    return name
