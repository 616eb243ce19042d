"""Adam and AdamW in two groups, with and without decay, and the learning rate of each step."""

import math

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Adam, AdamW

from .config import Config
from .place import reads_the_flag


def build(config: Config, parameters: dict[str, Parameter]) -> Adam:
    """Weights (two or more dimensions) decay; biases and scales do not. Fused, so that a step can be skipped unseen."""
    decayed = [p for p in parameters.values() if p.ndim >= 2]
    others = [p for p in parameters.values() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind = AdamW if config.optimizer == "adamw" else Adam
    return kind([group for group in groups if group["params"]], lr=config.lr, betas=config.betas, fused=True)


def learning_rate(config: Config, step: int) -> float:
    """Of the step numbered from 0: lr (step + 1) / warmup at first, then constant or half a cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    passed = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (1 + math.cos(math.pi * min(1.0, passed))) / 2


def step(optimizer: Adam, lr: float, skip: Tensor) -> None:
    """One update; where `skip` (a scalar of 0 or 1 on the device) is 1 it changes nothing, its own count included.

    The fused kernels read the flag on the device, as they do for GradScaler, so the host need not wait for it;
    elsewhere it does.
    """
    if not reads_the_flag(skip.device) and skip:
        return
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.found_inf = skip  # type: ignore[attr-defined]
    optimizer.step()


def state(optimizer: Adam, parameters: dict[str, Parameter]) -> dict[str, Tensor]:
    """{"NAME.exp_avg": ..., "NAME.exp_avg_sq": ..., "NAME.step": ...}; nothing for a parameter never stepped."""
    return {
        f"{name}.{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(optimizer: Adam, parameters: dict[str, Parameter], saved: dict[str, Tensor]) -> None:
    """The inverse of `state`."""
    optimizer.state.clear()
    for full, value in saved.items():
        name, _, key = full.rpartition(".")
        parameter = parameters[name].detach()
        # Moments take their parameter's strides, as Adam makes them: the fused kernels walk both by address.
        like = torch.empty((), device=parameter.device) if key == "step" else parameter
        optimizer.state[parameters[name]][key] = torch.empty_like(like).copy_(value)
