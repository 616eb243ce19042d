"""Checkpoints of the PyPI package denoising-diffusion-pytorch (2.x) as our ddp_unet.

What is read: the Trainer's dict {step, model, opt, ema, scaler, version}, a state dict of its GaussianDiffusion, or of
its Unet. The network's make is told from the shapes of its tensors, the schedule from its betas, and what the network
predicts from the weights of its loss. What nothing tells: dropout, and another base of the sinusoids than 10,000.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusion.tables import CosineBeta, LinearBeta, SigmoidBeta, logsnr_of_betas
from ..model import Config as ModelConfig
from ..networks.ddp_unet import Config, Network
from . import Imported, Refused, about, torch_file
from .state_dict import fit, shape_of, under

KIND = "denoising-diffusion-pytorch"
FIRST = "init_conv.weight"  # the tensor by which a Unet is known, whatever its prefix
MADE_OF_BETAS = re.compile(r"betas|(\w+_)?alphas_cumprod(_prev)?|posterior_\w+|loss_weight")  # buffers
CLIPPED = 5  # SNR at which `min_snr_loss_weight` clips, unless told otherwise
THEIRS = [  # our names -> theirs, each applied in turn
    (r"^level\.layers\.0", "time_mlp.1"),
    (r"^level\.layers\.2", "time_mlp.3"),
    (r"^first", "init_conv"),
    (r"^middle(\d)", r"mid_block\1"),
    (r"^middle\.", "mid_attn."),
    (r"^last", "final_res_block"),
    (r"^out\.", "final_conv."),
    (r"^((?:down|up)s\.\d+)\.block1", r"\1.0"),
    (r"^((?:down|up)s\.\d+)\.block2", r"\1.1"),
    (r"^((?:down|up)s\.\d+)\.attention", r"\1.2"),
    (r"^((?:down|up)s\.\d+)\.resample", r"\1.3"),
    (r"\.layer\.memory", ".mem_kv"),
    (r"\.layer\.norm\.gamma", ".to_out.1.g"),  # behind linear attention
    (r"\.layer\.(qkv|out)", r".to_\1"),
    (r"\.modulation", ".mlp.1"),
    (r"\.conv(\d)", r".block\1.proj"),
    (r"\.norm(\d)", r".block\1.norm"),
    (r"\.shortcut", ".res_conv"),
    (r"\.gamma", ".g"),
]


def read(path: Path, *, size: int = 64) -> Imported:
    """The checkpoint's networks, raw and averaged. size: pixels a side of what they shall sample.

    Raises `Refused` for a file that is unsafe or of another architecture.
    """
    contents = torch_file.load(path)
    with about(path):
        return _imported(contents, size)


def _imported(contents: Any, size: int) -> Imported:
    if not isinstance(contents, dict):
        raise Refused(f"holds a {type(contents).__name__}; expected the Trainer's dict or a state dict")
    step, model = contents.get("step", 0), contents.get("model", contents)
    prefix, raw = under(model, KIND, FIRST)
    outer = prefix.removesuffix("model.")
    buffers = {name.removeprefix(outer): tensor for name, tensor in model.items() if not name.startswith(prefix)}
    averaged = raw
    if isinstance(ema := contents.get("ema"), dict):
        _, averaged = under({name: t for name, t in ema.items() if name.startswith("ema_model.")}, KIND, FIRST)
    config = config_of(raw)
    return Imported(
        network_config=config,
        model_config=_process(buffers),
        model_state=convert(raw, config),
        ema_state=convert(averaged, config),
        step=step if isinstance(step, int) and step >= 0 else 0,
        shape=(config.channels, size, size),
    )


def _process(buffers: dict[str, Tensor]) -> ModelConfig:
    """Prediction and schedule; those that are its default, where a bare Unet does not say."""
    for name, tensor in buffers.items():
        if not MADE_OF_BETAS.fullmatch(name):
            raise Refused(f"holds {name} of shape {tuple(tensor.shape)}, which GaussianDiffusion of 2.x has not")
    if "betas" not in buffers:
        return ModelConfig(prediction="v", schedule=SigmoidBeta())
    if "loss_weight" not in buffers:
        raise Refused("has betas and no loss_weight, by which 2.x tells what it predicts")
    schedule = _schedule(buffers["betas"])
    return ModelConfig(prediction=_prediction(buffers["loss_weight"], schedule.table), schedule=schedule)


def _schedule(betas: Tensor) -> CosineBeta | LinearBeta | SigmoidBeta:
    """Which of its three schedules these betas are of."""
    steps = len(betas) if betas.ndim == 1 else 0
    if steps >= 2:
        found = logsnr_of_betas(betas.double())
        for schedule in (SigmoidBeta(steps=steps), CosineBeta(steps=steps, beta_max=0.999), LinearBeta(steps=steps)):
            if torch.allclose(found, schedule.table, rtol=0, atol=0.01):  # nats; float32 betas near 1 leave 0.001
                return schedule
    raise Refused(f"has betas of shape {tuple(betas.shape)} that are of none of its schedules with their defaults")


def _prediction(weight: Tensor, table: Tensor) -> str:
    """What is predicted with such weights of the loss, a function of SNR that may be clipped."""
    snr = table.exp()
    for clipped in (snr, snr.clamp(max=CLIPPED)):
        for prediction, expected in (("eps", clipped / snr), ("x0", clipped), ("v", clipped / (snr + 1))):
            if weight.shape == expected.shape and torch.allclose(weight.double(), expected, rtol=0.01, atol=1e-6):
                return prediction
    raise Refused(f"has loss_weight of shape {tuple(weight.shape)} that is of none of its objectives with its betas")


def config_of(state: dict[str, Tensor]) -> Config:
    """What the network is made of, told from the shapes of a Unet's tensors."""
    width, channels = shape_of(state, FIRST, 4, KIND)[:2]
    outputs = shape_of(state, "final_conv.weight", 4, KIND)[0]
    if outputs != channels:
        reason = "self_condition" if channels == 2 * outputs else "learned_variance or out_dim"
        raise Refused(f"has {channels} channels in and {outputs} out ({reason}); expected the same, by ddp_unet")
    if "time_mlp.0.weights" in state:
        raise Refused("has random or learned sinusoids (time_mlp.0.weights), which ddp_unet has not")
    levels = 1 + max((int(found[1]) for name in state if (found := re.match(r"downs\.(\d+)\.", name))), default=-1)
    _, heads, _, head_width = shape_of(state, "mid_attn.mem_kv", 4, KIND)

    def mult(level: int) -> int:
        name = f"downs.{level}.3.1.weight" if level < levels - 1 else f"downs.{level}.3.weight"
        return shape_of(state, name, 4, KIND)[0] // width

    try:
        return Config(
            channels=channels,
            width=width,
            mults=tuple(map(mult, range(levels))),
            attention=tuple(level for level in range(levels) if f"downs.{level}.2.to_out.weight" in state),
            heads=heads,
            head_width=head_width,
        )
    except (ValueError, ZeroDivisionError) as error:
        raise Refused(f"has shapes that no ddp_unet has: {error}") from None


def convert(state: dict[str, Tensor], config: Config) -> dict[str, Tensor]:
    """The state of our network from that of their Unet."""
    make = f"ddp_unet of width {config.width}, mults {config.mults}, {config.heads} heads of {config.head_width}"

    def theirs(name: str) -> tuple[str, ...]:
        for pattern, replacement in THEIRS:
            name = re.sub(pattern, replacement, name)
        if name in state or name.endswith(".to_out.1.g"):
            return (name,)
        return (name.replace(".to_out.", ".to_out.0."),)  # of linear attention

    return fit(state, lambda: Network(config), theirs, f"{make}, full attention at levels {config.attention}")
