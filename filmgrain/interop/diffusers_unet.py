"""diffusers' UNet2DModel and our unet2d: the make of one in the fields of the other, tensors under either's names.

unet2d holds every UNet2DModel of residual blocks and plain attention. The other way, an unet2d of log-SNR becomes one
of steps by turning its sinusoids, what it is told becomes a part of it, and a ddpm_unet becomes an unet2d first.
"""

import re
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..networks import ddpm_unet
from ..networks.unet2d import Config, Network
from . import Refused
from .diffusers_fields import UNET, is_count, text
from .diffusers_levels import turned
from .state_dict import fit

OUTER = {
    "first": "conv_in",
    "level.layers.0": "time_embedding.linear_1",
    "level.layers.2": "time_embedding.linear_2",
    "norm": "conv_norm_out",
    "out": "conv_out",
}
INNER = {  # of a stage of the U; {} is its number in its level
    "block.norm1": "resnets.{}.norm1",
    "block.conv1": "resnets.{}.conv1",
    "block.modulation": "resnets.{}.time_emb_proj",
    "block.norm2": "resnets.{}.norm2",
    "block.conv2": "resnets.{}.conv2",
    "block.shortcut": "resnets.{}.conv_shortcut",
    "attention.norm": "attentions.{}.group_norm",
    "attention.layer.out": "attentions.{}.to_out.0",
}
OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # of attention, until 0.14
OLD_NAMES = re.compile(rf"(?<=\.)({'|'.join(OLD)})(?=\.)")
SINUSOIDS = "level.layers.0.weight"  # that acts on sines, then cosines


class Unet(NamedTuple):
    """An unet2d, before it is built."""

    config: Config
    state: dict[str, Tensor]


def config_of(fields: dict[str, Any]) -> Config:
    """The make of a UNet2DModel in ours. Raises `Refused`, naming the field."""
    widths, attention = _levels(fields)
    width, groups, scales = widths[0], fields["norm_num_groups"], fields["resnet_time_scale_shift"] == "scale_shift"
    heads = fields["attention_head_dim"] or 0
    if any(channels % groups for channels in widths):
        raise Refused(f"has norm_num_groups={groups}, which does not divide block_out_channels={widths}")
    if heads and (not is_count(heads) or any(widths[level] % heads for level in (*attention, -1))):
        raise Refused(f"has attention_head_dim={text(heads)}; expected a divisor of the widths that attend, or null")
    expected = {
        "out_channels": (fields["in_channels"],),
        "time_embedding_dim": (None, 4 * width),
        "attn_norm_num_groups": (groups,) if scales else (None, groups),
    }
    for name, values in expected.items():
        if fields[name] not in values:
            raise Refused(f"has {name}={text(fields[name])}; unet2d can express {values[-1]} alone")
    try:
        return Config(
            channels=fields["in_channels"],
            width=width,
            mults=tuple(channels // width for channels in widths),
            attention=attention,
            blocks=fields["layers_per_block"],
            head_width=heads,
            dropout=fields["dropout"],
            groups=groups,
            modulation="film" if scales else "add",
            eps=fields["norm_eps"],
            corner=fields["downsample_padding"] == 0,
            shift=fields["freq_shift"],
            steps=True,
        )
    except ValueError as error:
        raise Refused(f"is a configuration that no unet2d has: {error}") from None


def _levels(fields: dict[str, Any]) -> tuple[list[int], tuple[int, ...]]:
    """The channels of each level, and the levels that attend."""
    widths, down, up = (fields[name] for name in ("block_out_channels", "down_block_types", "up_block_types"))
    if not isinstance(widths, list) or not 0 < len(widths) <= 16 or not all(map(is_count, widths)):
        raise Refused(f"has block_out_channels={text(widths)}; expected a list of widths")
    if any(channels % widths[0] for channels in widths):
        raise Refused(f"has block_out_channels={widths}; unet2d needs multiples of the first")
    kinds = [str(kind).removeprefix("UNetRes") for kind in down] if isinstance(down, list) else []
    if len(kinds) != len(widths) or not {*kinds} <= {"DownBlock2D", "AttnDownBlock2D"}:
        expected = f"DownBlock2D or AttnDownBlock2D, {len(widths)} of them"
        raise Refused(f"has down_block_types={text(down)}; expected {expected}")
    mirrored = [kind.replace("Down", "Up") for kind in reversed(kinds)]
    if not isinstance(up, list) or [str(kind).removeprefix("UNetRes") for kind in up] != mirrored:
        raise Refused(f"has up_block_types={text(up)}; expected the mirror image of down_block_types, {mirrored}")
    return widths, tuple(level for level, kind in enumerate(kinds) if kind == "AttnDownBlock2D")


def fields_of(config: Config, size: tuple[int, int]) -> dict[str, Any]:
    """The same the other way, of a network on steps. size: height and width of what it samples."""
    levels = range(len(config.mults))
    kinds = ["AttnDownBlock2D" if level in config.attention else "DownBlock2D" for level in levels]
    return {name: field.default for name, field in UNET.items()} | {
        "sample_size": size[0] if size[0] == size[1] else [*size],
        "in_channels": config.channels,
        "out_channels": config.channels,
        "block_out_channels": [mult * config.width for mult in config.mults],
        "down_block_types": kinds,
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "layers_per_block": config.blocks,
        "attention_head_dim": config.head_width or None,
        "dropout": config.dropout,
        "norm_num_groups": config.groups,
        "attn_norm_num_groups": config.groups,
        "norm_eps": config.eps,
        "resnet_time_scale_shift": "scale_shift" if config.modulation == "film" else "default",
        "downsample_padding": 0 if config.corner else 1,
        "freq_shift": config.shift,
        "flip_sin_to_cos": False,
    }


def from_theirs(state: dict[str, Tensor], config: Config, flip: bool) -> Unet:
    """Our network, on steps, from the state of theirs. flip: their sinusoids are cosines first."""
    renamed = {OLD_NAMES.sub(lambda old: OLD[old[0]], name): tensor for name, tensor in state.items()}
    make = f"unet2d of width {config.width}, mults {config.mults}, {config.blocks} blocks, attention at levels "
    make += f"{config.attention}"
    ours = fit(renamed, lambda: Network(config), lambda name: their_names(name, config.blocks), make)
    if flip:
        ours[SINUSOIDS] = torch.cat(ours[SINUSOIDS].chunk(2, dim=1)[::-1], dim=1)
    return Unet(config, ours)


def to_theirs(unet: Unet) -> dict[str, Tensor]:
    """The state of their network, cosines behind, from ours on steps."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in unet.state.items():
        names = their_names(name, unet.config.blocks)
        theirs.update(zip(names, tensor.chunk(len(names)), strict=True))
    return theirs


def their_names(name: str, blocks: int) -> tuple[str, ...]:
    """`first.weight` -> `conv_in.weight`; of queries, keys and values in one, three names."""
    layer, _, kind = name.rpartition(".")
    if not layer.startswith("body."):
        return (f"{OUTER[layer]}.{kind}",)
    _, part, number, layer = layer.split(".", 3)
    if part == "middle":
        place, inside = "mid_block", int(number)
    else:  # each level of the way up has a block more; then comes the change of size
        level, inside = divmod(int(number), blocks + 1 if part == "downs" else blocks + 2)
        place = f"{part[:-1]}_blocks.{level}"
    if layer == "conv":
        return (f"{place}.{part[:-1]}samplers.0.conv.{kind}",)
    if layer == "attention.layer.qkv":
        return tuple(f"{place}.attentions.{inside}.to_{one}.{kind}" for one in "qkv")
    return (f"{place}.{INNER[layer].format(inside)}.{kind}",)


def unet_of(network: nn.Module, vector: Tensor | None) -> Unet:
    """A network of ours as an unconditional unet2d. vector: what it is told from now on, one row, if it can be told.

    Raises ValueError for a network that UNet2DModel cannot express.
    """
    state = {name: tensor.detach().clone().cpu() for name, tensor in network.state_dict().items()}
    if isinstance(network, ddpm_unet.Network):
        return _of_ddpm(network.config, state, vector)
    if not isinstance(network, Network):
        name = type(network).__module__.rpartition(".")[2]
        raise ValueError(f"UNet2DModel cannot express the network {name}; unet2d and ddpm_unet can be exported")
    config = network.config
    for setting, plain in {"patch": 1, "tokens": 0, "maps": 0}.items():
        if (given := getattr(config, setting)) != plain:
            raise ValueError(f"UNet2DModel cannot express network.{setting}={given}; train with {setting}={plain}")
    if vector is not None:
        _tell(state, "condition", "level.layers.2", vector)
    return Unet(replace(config, condition=0), state)


def _tell(state: dict[str, Tensor], condition: str, layer: str, vector: Tensor) -> None:
    """Moves what the layer `condition` makes of the vector into the bias of another layer, to which it is added."""
    told = state.pop(f"{condition}.weight") @ vector[0].cpu() + state.pop(f"{condition}.bias")
    state[f"{layer}.bias"] += told


def _of_ddpm(config: ddpm_unet.Config, state: dict[str, Tensor], vector: Tensor | None) -> Unet:
    """A ddpm_unet as the unet2d that it is, when its sinusoids lie in order, and not sine and cosine in turn."""
    table = state.pop("time.table")
    if not torch.allclose(table, ddpm_unet.step_table(*table.shape), rtol=0, atol=1e-3):
        raise ValueError("time.table holds other numbers than its sinusoids, which UNet2DModel cannot express")
    for name in [name for name in state if name.endswith("condition.weight")]:
        block = name.removesuffix(".condition.weight")
        assert vector is not None  # the model has a conditioner, since its network can be told
        _tell(state, f"{block}.condition", f"{block}.time", vector)
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = re.sub(r"^time\.", "level.", name)
        name = re.sub(r"^(body\.\w+\.\d+)\.(norm\d|conv\d|shortcut)", r"\1.block.\2", name)
        name = re.sub(r"^(body\.\w+\.\d+)\.time", r"\1.block.modulation", name)
        name = re.sub(r"\.attention\.([qkv]|out)\.", r".attention.layer.\1.", name)
        renamed[name] = tensor.flatten(1) if ".attention.layer." in name and tensor.ndim == 4 else tensor
    for q in [name for name in renamed if ".layer.q." in name]:
        parts = [renamed.pop(q.replace(".layer.q.", f".layer.{one}.")) for one in "qkv"]
        renamed[q.replace(".layer.q.", ".layer.qkv.")] = torch.cat(parts)
    renamed[SINUSOIDS] = torch.cat([renamed[SINUSOIDS][:, 0::2], renamed[SINUSOIDS][:, 1::2]], dim=1)
    same = {name: getattr(config, name) for name in ("channels", "width", "mults", "attention", "blocks", "dropout")}
    made = Config(**same, groups=config.groups, head_width=0, modulation="add", shift=0, steps=True)
    return Unet(made, renamed)


def on_steps(unet: Unet, offset: float) -> Unet:
    """An unet2d of log-SNR as one of steps, whose step k is its position of noise offset + k."""
    return _turned(unet, offset, steps=True)


def on_levels(unet: Unet, offset: float) -> Unet:
    """The other way."""
    return _turned(unet, -offset, steps=False)


def _turned(unet: Unet, offset: float, steps: bool) -> Unet:
    layer = turned(unet.state[SINUSOIDS], offset, unet.config.shift)
    return Unet(replace(unet.config, steps=steps), unet.state | {SINUSOIDS: layer})
