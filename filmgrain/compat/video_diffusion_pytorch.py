"""The names of the PyPI package video-diffusion-pytorch 0.7.0. docs/compat.md says what is alike and what is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.video_folder import Config as Videos
from ..diffusion.cond import Cond
from ..diffusion.tables import CosineBeta
from ..files.encode import write_gif
from ..generate.sampling import Config as Sampling
from ..generate.videos import to_uint8
from ..guidance.classifier_free import Always, ClassifierFree
from ..guidance.dynamic_threshold import DynamicThreshold
from ..guidance.static_threshold import StaticThreshold
from ..interop.video_diffusion_pytorch import FIRST, convert
from ..model import Config as Process
from ..networks.unet3d import Config, Network
from ..samplers import last
from ..tasks.diffusion import Config as Task
from ..training.config import Config as Training
from . import their_state
from .arguments import translated
from .inside import Inside
from .results import Results

UNET = {"dim_mults": "mults", "channels": "channels", "attn_heads": "heads", "attn_dim_head": "head_width"}
UNET |= {"init_kernel_size": "kernel", "use_sparse_linear_attn": "linear_attention"}
TRAINER = {"train_num_steps": "steps", "train_batch_size": "batch", "gradient_accumulate_every": "accumulate"}
TRAINER |= {"train_lr": "lr", "ema_decay": "ema", "step_start_ema": "ema_start", "update_ema_every": "ema_every"}
TRAINER |= {"save_and_sample_every": "save_every", "max_grad_norm": "clip"}
THEIR_TRAINING = Training(
    steps=100_000, batch=32, accumulate=2, optimizer="adam", lr=1e-4, betas=(0.9, 0.999), warmup=0, clip=0.0,
    ema=0.995, ema_start=2000, ema_every=10, validate_every=0,
)  # fmt: skip
TEXT = "make the Unet3D with cond_dim=768 or so, and give cond=(b, cond_dim), the vectors of your own text encoder"
WIDTH = "unet3d has one width, and as many channels out as in; leave it out"
FOCUS = "unet3d attends to all frames; a second GaussianDiffusion of the same Unet3D, num_frames=1, takes pictures"
PRESENT = {"prob_focus_present": (0.0, FOCUS), "focus_present_mask": (None, FOCUS)}


class Unet3D(nn.Module):
    """networks/unet3d on integer steps, and the vector that stands for no condition."""

    def __init__(self, dim: int, cond_dim: int | None = None, **options: Any) -> None:
        super().__init__()
        only = {"use_bert_text_cond": (False, TEXT), "init_dim": (None, WIDTH), "out_dim": (None, WIDTH)}
        settings = translated("Unet3D", options, UNET, only | {"block_type": ("resnet", "leave it out")})
        config = Config(width=dim, condition=cond_dim or 0, steps=True, **settings)
        self.network, self.channels, self.cond_dim = Network(config), config.channels, cond_dim
        self.null_cond_emb = nn.Parameter(torch.randn(1, cond_dim)) if cond_dim else None
        their_state.of_unet(self, FIRST, lambda state: convert(state, config))

    def forward(self, x: Tensor, time: Tensor, cond: Tensor | None = None, **options: Any) -> Tensor:
        return self.network(x, time, self.cond(cond, **options))

    def cond(self, given: Tensor | None, null_cond_prob: float = 0.0, **options: Any) -> Cond:
        """What is given, as the network takes it; in that part of the samples, none."""
        translated("Unet3D", options, only=PRESENT)
        if given is not None and not isinstance(given, Tensor):
            raise ValueError(f"cond is a {type(given).__name__}, and texts are not embedded here; {TEXT}")
        if given is None or not null_cond_prob:
            return Cond(vector=given)
        keep = torch.rand(len(given), device=given.device) >= null_cond_prob
        return Cond(vector=given).drop(self.null(len(given)), keep)

    def null(self, count: int) -> Cond:
        return Cond(vector=None if self.null_cond_emb is None else self.null_cond_emb.expand(count, -1))


class GaussianDiffusion(nn.Module):
    """T steps of the cosine schedule, and a Unet3D that predicts eps; x (b c f h w) is in [0, 1], cond (b d)."""

    def __init__(
        self,
        denoise_fn: Unet3D,
        *,
        image_size: int,
        num_frames: int,
        timesteps: int = 1000,
        loss_type: str = "l1",
        use_dynamic_thres: bool = False,
        dynamic_thres_percentile: float = 0.9,
        **options: Any,
    ) -> None:
        super().__init__()
        only = {"text_use_bert_cls": (False, TEXT), "channels": (denoise_fn.channels, "give those of the Unet3D")}
        translated("GaussianDiffusion", options, only=only)
        self.denoise_fn, self.channels, self.num_timesteps = denoise_fn, denoise_fn.channels, timesteps
        self.image_size, self.num_frames = image_size, num_frames
        self.unclipped = dynamic_thres_percentile if use_dynamic_thres else None  # part of the values of x0
        threshold = "dynamic" if use_dynamic_thres else "static"
        self.inside = Inside.of(
            denoise_fn.network,
            (self.channels, num_frames, image_size, image_size),
            Process(prediction="eps", schedule=CosineBeta(steps=timesteps)),
            Task(distance=loss_type),
            Sampling(sampler="ancestral", steps=timesteps, grid="table", options={"gamma": 0.0}, threshold=threshold),
        )
        their_state.of_diffusion(self, "denoise_fn", timesteps)

    def forward(self, x: Tensor, cond: Tensor | None = None, noise: Tensor | None = None, **options: Any) -> Tensor:
        return self.inside.losses(2 * x - 1, lambda: self.denoise_fn.cond(cond, **options), noise=noise).mean()

    def sample(self, cond: Tensor | None = None, cond_scale: float = 1.0, batch_size: int = 16) -> Tensor:
        model, given, count = self.inside.model, self.denoise_fn.cond(cond), batch_size if cond is None else len(cond)
        null = Always(model, self.denoise_fn.null(count))
        guided = ClassifierFree(model, null, 1.0 if cond is None else cond_scale)
        denoiser = StaticThreshold(guided) if self.unclipped is None else DynamicThreshold(guided, self.unclipped)
        return (last(self.inside.walk(denoiser, self.inside.noise(count), given)) + 1) / 2


class Trainer(Results):
    """Trains on a folder of videos, into a run. The number of frames is that of the diffusion, as there."""

    def __init__(
        self,
        diffusion_model: GaussianDiffusion,
        folder: str | Path,
        *,
        results_folder: str | Path = "./results",
        num_sample_rows: int = 4,
        amp: bool = False,
        **options: Any,
    ) -> None:
        if (features := diffusion_model.denoise_fn.cond_dim) is not None:
            raise ValueError(f"cond_dim={features}, and a Trainer gives no cond; call diffusion(x, cond=...) in a loop")
        options.pop("num_frames", None)
        precision = "auto" if amp else "float32"
        train = replace(THEIR_TRAINING, precision=precision, **translated("Trainer", options, TRAINER))
        _, frames, height, width = diffusion_model.inside.model.shape
        data = Videos(folder=str(folder), frames=frames, height=height, width=width, held_out=0.0)
        super().__init__(diffusion_model, data, train, results_folder, previews=num_sample_rows**2)

    def train(self, **options: Any) -> None:
        seen = f"see {self.results_folder}/metrics.jsonl for what it would be told"
        translated("Trainer.train", options, only=PRESENT | {"log_fn": (None, seen)})
        super().train()


def video_tensor_to_gif(tensor: Tensor, path: str | Path, duration: float = 120) -> None:
    """A video (c f h w) in [0, 1] as a GIF of so many milliseconds a frame."""
    write_gif(path, to_uint8(2 * tensor - 1).numpy(), 1000 / duration)
