"""The names of the PyPI package denoising-diffusion-pytorch 2.3. docs/compat.md says what is alike and what is not."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.image_folder import Config as Images
from ..diffusion.cond import Cond
from ..diffusion.tables import CosineBeta, LinearBeta, SigmoidBeta
from ..diffusion.weighting import SNR, MinSNR
from ..generate.sampling import Config as Sampling
from ..guidance.static_threshold import StaticThreshold
from ..interop.denoising_diffusion_pytorch import FIRST, convert
from ..model import Config as Process
from ..networks.ddp_unet import Config, Network
from ..samplers import last
from ..tasks.diffusion import Config as Task
from ..training.config import Config as Training
from . import their_state
from .arguments import translated
from .inside import Inside
from .results import Results

UNET = {"dim_mults": "mults", "channels": "channels", "dropout": "dropout"}
UNET |= {"attn_heads": "heads", "attn_dim_head": "head_width"}
OBJECTIVES = {"pred_noise": "eps", "pred_x0": "x0", "pred_v": "v"}
SCHEDULES: dict[str, Callable[..., Any]] = {"linear": LinearBeta, "sigmoid": SigmoidBeta}
SCHEDULES |= {"cosine": partial(CosineBeta, beta_max=0.999)}
TRAINER = {"train_num_steps": "steps", "train_batch_size": "batch", "gradient_accumulate_every": "accumulate"}
TRAINER |= {"train_lr": "lr", "adam_betas": "betas", "ema_decay": "ema", "ema_update_every": "ema_every"}
TRAINER |= {"save_and_sample_every": "save_every", "max_grad_norm": "clip"}
THEIR_TRAINING = Training(
    steps=100_000, batch=16, optimizer="adam", lr=1e-4, betas=(0.9, 0.99), warmup=0, clip=1.0,
    ema=0.995, ema_start=100, ema_every=10, validate_every=0,
)  # fmt: skip
OF_NO_USE = ("mixed_precision_type", "split_batches", "convert_image_to", "inception_block_idx", "num_fid_samples")
PLAIN = "ddp_unet has no such thing; leave it out"
NOISE = "a schedule that ends in less signal, such as the sigmoid, does what it is for; leave it out"


class Unet(nn.Module):
    def __init__(self, dim: int, *, full_attn: bool | tuple[bool, ...] | None = None, **options: Any) -> None:
        super().__init__()
        options.pop("flash_attn", None)  # attention is fused wherever that is faster
        only = dict.fromkeys(("init_dim", "out_dim"), (None, PLAIN)) | {"learned_sinusoidal_dim": (16, PLAIN)}
        only |= dict.fromkeys(("self_condition", "learned_variance", "learned_sinusoidal_cond"), (False, PLAIN))
        only |= {"random_fourier_features": (False, PLAIN), "sinusoidal_pos_emb_theta": (10000, PLAIN)}
        settings = translated("Unet", options, UNET, only)
        for name in ("attn_heads", "attn_dim_head"):
            if isinstance(options.get(name), tuple):
                raise ValueError(f"Unet: {name}={options[name]}; ddp_unet has the same at all levels: give one number")
        levels = len(settings.get("mults", Config.mults))
        full = full_attn if isinstance(full_attn, tuple) else (bool(full_attn),) * (levels - 1) + (True,)
        config = Config(width=dim, attention=tuple(level for level in range(levels) if full[level]), **settings)
        self.network, self.channels = Network(config), config.channels
        their_state.of_unet(self, FIRST, lambda state: convert(state, config))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.network(x, time, Cond())


class GaussianDiffusion(nn.Module):
    """T steps of a schedule, and a Unet that predicts eps, x0 or v of them; img (b c h w) is in [0, 1]."""

    def __init__(
        self,
        model: Unet,
        *,
        image_size: int | tuple[int, int],
        timesteps: int = 1000,
        sampling_timesteps: int | None = None,
        objective: str = "pred_v",
        beta_schedule: str = "sigmoid",
        auto_normalize: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        for name, given, known in (("objective", objective, OBJECTIVES), ("beta_schedule", beta_schedule, SCHEDULES)):
            if given not in known:
                raise ValueError(f"GaussianDiffusion: {name}={given!r} is none of {', '.join(known)}")
        more = {"schedule_fn_kwargs": "schedule", "min_snr_loss_weight": "clipped", "min_snr_gamma": "gamma"}
        only = {"offset_noise_strength": (0.0, NOISE), "immiscible": (False, "leave it out")}
        said = translated("GaussianDiffusion", options, more | {"ddim_sampling_eta": "eta"}, only)
        self.model, self.channels, self.num_timesteps = model, model.channels, timesteps
        self.image_size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        self.span, self.low = (2, -1) if auto_normalize else (1, 0)  # of what the network sees, for img in [0, 1]
        sampling = Sampling(sampler="ancestral", steps=timesteps, grid="table", options={"gamma": 0.0})
        if sampling_timesteps not in (None, timesteps):
            eta = float(said.get("eta", 0.0))
            sampling = Sampling(sampler="ddim", steps=sampling_timesteps, grid="trailing", options={"eta": eta})
        schedule = SCHEDULES[beta_schedule](steps=timesteps, **said.get("schedule", {}))
        self.inside = Inside.of(
            model.network,
            (self.channels, *self.image_size),
            Process(prediction=OBJECTIVES[objective], schedule=schedule),
            Task(weighting=MinSNR(gamma=float(said.get("gamma", 5))) if said.get("clipped") else SNR()),
            sampling,
        )
        their_state.of_diffusion(self, "model", timesteps)

    def forward(
        self, img: Tensor, noise: Tensor | None = None, *, times: Tensor | None = None, loss_reduction: str = "mean"
    ) -> Tensor:
        losses = self.inside.losses(self.span * img + self.low, Cond, step=times, noise=noise)
        return losses if loss_reduction == "none" else losses.mean()

    def sample(self, batch_size: int = 16, return_all_timesteps: bool = False) -> Tensor:
        z = self.inside.noise(batch_size)
        walk = self.inside.walk(StaticThreshold(self.inside.model), z, Cond())
        x = torch.stack([z, *(step.z for step in walk)], dim=1) if return_all_timesteps else last(walk)
        return (x - self.low) / self.span


class Trainer(Results):
    """Trains on a folder of pictures, into a run."""

    def __init__(
        self,
        diffusion_model: GaussianDiffusion,
        folder: str | Path,
        *,
        results_folder: str | Path = "./results",
        num_samples: int = 25,
        augment_horizontal_flip: bool = True,
        amp: bool = False,
        **options: Any,
    ) -> None:
        if options.pop("calculate_fid", False):
            advice = f"filmgrain evaluate {results_folder} --against {folder}"
            warnings.warn(f"calculate_fid: samples are measured after training, by {advice}", stacklevel=2)
        options = {name: value for name, value in options.items() if name not in OF_NO_USE}
        only = {"save_best_and_latest_only": (False, "all milestones are kept; delete what you do not want")}
        precision = "auto" if amp else "float32"
        train = replace(THEIR_TRAINING, precision=precision, **translated("Trainer", options, TRAINER, only))
        (height, width), flip = diffusion_model.image_size, augment_horizontal_flip
        data = Images(folder=str(folder), height=height, width=width, labels="none", flip=flip, held_out=0.0)
        super().__init__(diffusion_model, data, train, results_folder, previews=num_samples)

    @property
    def ema(self) -> SimpleNamespace:
        return SimpleNamespace(ema_model=self.ema_model)
