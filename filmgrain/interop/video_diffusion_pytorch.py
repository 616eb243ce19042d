"""Checkpoints of the PyPI package video-diffusion-pytorch (0.7.0, and earlier ones with GroupNorm) as our unet3d.

What is read: the Trainer's dict {step, model, ema, scaler}, a state dict of its GaussianDiffusion, or of its Unet3D.
The network's make is told from the shapes of its tensors; every tensor must find its place, and every parameter of ours
its tensor. What no shape tells: another number of groups than 8 in a GroupNorm.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusion.tables import CosineBeta, logsnr_of_betas
from ..model import Config as ModelConfig
from ..networks.unet3d import Config, Network
from . import Imported, Refused, about, torch_file
from .state_dict import fit, shape_of, under

KIND = "video-diffusion-pytorch"
FIRST = "init_conv.weight"  # the tensor by which a Unet3D is known, whatever its prefix
STEPS = 1000  # of the peer's schedule by default, where a bare Unet3D does not say
BUFFERS = (  # of GaussianDiffusion, all made from betas
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
)  # fmt: skip
THEIRS = [  # our names -> theirs, each applied in turn
    (r"^level\.layers\.0", "time_mlp.1"),
    (r"^level\.layers\.2", "time_mlp.3"),
    (r"^position\.bias", "time_rel_pos_bias.relative_attention_bias"),
    (r"^first_temporal", "init_temporal_attn"),
    (r"^first\.", "init_conv."),
    (r"^middle_(\w+)", r"mid_\1_attn"),
    (r"^middle(\d)", r"mid_block\1"),
    (r"^last", "final_conv.0"),
    (r"^out", "final_conv.1"),
    (r"^(down|up)sample\.(\d+)", r"\1s.\2.4"),
    (r"^((?:down|up)s\.\d+)\.block1", r"\1.0"),
    (r"^((?:down|up)s\.\d+)\.block2", r"\1.1"),
    (r"^((?:down|up)s\.\d+)\.spatial", r"\1.2"),
    (r"^((?:down|up)s\.\d+)\.temporal", r"\1.3"),
    (r"\.norm\.", ".fn.norm."),  # of attention: Residual.fn = PreNorm
    (r"^(\w+\.\d+\.2)\.layer", r"\1.fn.fn"),  # linear attention: PreNorm.fn
    (r"\.layer", ".fn.fn.fn"),  # full attention, within EinopsToAndFrom
    (r"\.(qkv|out)\.", r".to_\1."),
    (r"\.modulation", ".mlp.1"),  # of residual blocks
    (r"\.conv(\d)", r".block\1.proj"),
    (r"\.norm(\d)", r".block\1.norm"),
    (r"\.shortcut", ".res_conv"),
]


def read(path: Path, *, size: int = 64, frames: int = 10) -> Imported:
    """The checkpoint's networks, raw and averaged. size, frames: of what they shall sample, which no checkpoint holds.

    Raises `Refused` for a file that is unsafe or of another architecture.
    """
    contents = torch_file.load(path)
    with about(path):
        return _imported(contents, (frames, size, size))


def _imported(contents: Any, size: tuple[int, int, int]) -> Imported:
    if not isinstance(contents, dict):
        raise Refused(f"holds a {type(contents).__name__}; expected the Trainer's dict or a state dict")
    step = contents.get("step", 0)
    model = contents.get("model", contents)
    network, steps = _parts(model)
    averaged, _ = _parts(contents.get("ema", model))
    config = config_of(network)
    return Imported(
        network_config=config,
        model_config=ModelConfig(prediction="eps", schedule=CosineBeta(steps=steps)),
        model_state=convert(network, config),
        ema_state=convert(averaged, config),
        step=step if isinstance(step, int) and step >= 0 else 0,
        shape=(config.channels, *size),
    )


def _parts(state: Any) -> tuple[dict[str, Tensor], int]:
    """The tensors of the Unet3D without their prefix, and the number of steps of its schedule."""
    prefix, network = under(state, KIND, FIRST)
    outer = prefix.removesuffix("denoise_fn.")
    buffers = {name.removeprefix(outer): tensor for name, tensor in state.items() if not name.startswith(prefix)}
    for name, tensor in buffers.items():
        if name not in BUFFERS:
            raise Refused(f"holds {name} of shape {tuple(tensor.shape)}, which GaussianDiffusion of 0.7.0 has not")
    return network, _steps(buffers["betas"]) if "betas" in buffers else STEPS


def _steps(betas: Tensor) -> int:
    """T, if the betas are those of the cosine schedule in T steps."""
    if betas.ndim == 1 and len(betas) >= 2:
        found, expected = logsnr_of_betas(betas.double()), CosineBeta(steps=len(betas)).table
        if torch.allclose(found, expected, rtol=0, atol=0.01):  # nats; float32 betas near 1 leave 0.001
            return len(betas)
    raise Refused(f"has betas of shape {tuple(betas.shape)} that are not the cosine schedule's, which is all 0.7.0 has")


def config_of(state: dict[str, Tensor]) -> Config:
    """What the network is made of, told from the shapes of a Unet3D's tensors."""
    if "null_cond_emb" in state:
        raise Refused(
            f"is conditional (null_cond_emb has shape {tuple(state['null_cond_emb'].shape)}), and there is no "
            "conditioner to hold that yet; import an unconditional checkpoint"
        )

    def shape(name: str, ndim: int) -> torch.Size:
        return shape_of(state, name, ndim, KIND)

    width, channels = shape(FIRST, 5)[:2]
    levels = sum(bool(re.fullmatch(r"downs\.\d+\.0\.block1\.proj\.weight", name)) for name in state)
    heads = shape("time_rel_pos_bias.relative_attention_bias.weight", 2)[1]
    try:
        return Config(
            channels=channels,
            width=width,
            mults=tuple(shape(f"downs.{i}.0.block1.proj.weight", 5)[0] // width for i in range(levels)),
            heads=heads,
            head_width=shape("init_temporal_attn.fn.fn.fn.to_qkv.weight", 2)[0] // (3 * heads),
            linear_attention="downs.0.2.fn.fn.to_qkv.weight" in state,
            norm="rms" if "downs.0.0.block1.norm.gamma" in state else "group",
            steps=True,
        )
    except (ValueError, ZeroDivisionError) as error:
        raise Refused(f"has shapes that no unet3d has: {error}") from None


def convert(state: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The state of our network from that of their Unet3D."""
    return fit(
        state,
        lambda: Network(config),
        lambda name: (their_name(name),),
        f"unet3d of {_make(config)}",
        spare=lambda name, tensor: _is_rotary(name, tensor, config),
    )


def their_name(name: str) -> str:
    """`first.weight` -> `init_conv.weight`."""
    for pattern, replacement in THEIRS:
        name = re.sub(pattern, replacement, name)
    return name


def _make(config: Config) -> str:
    return (
        f"width {config.width}, mults {config.mults}, {config.heads} heads of {config.head_width}, norm {config.norm}"
    )


def _is_rotary(name: str, tensor: Tensor, config: Config) -> bool:
    """Whether this is the rotary table of frequencies, as ours computes it; each temporal attention saves one."""
    turned = min(32, config.head_width)
    frequency = 10000 ** (-torch.arange(0, turned, 2) / turned)
    return (
        name.endswith("rotary_emb.freqs")
        and tensor.shape == frequency.shape
        and torch.allclose(tensor.float(), frequency)
    )
