"""Folders of diffusers' DDPMPipeline and DDIMPipeline: a UNet2DModel and a scheduler, as our unet2d, in and out.

    model_index.json   unet/{config.json, diffusion_pytorch_model.safetensors}   scheduler/scheduler_config.json

or all in one folder, as early ones are. diffusers itself is not needed for either way.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..autoencoders import pixels
from ..diffusion.draw import Draw
from ..diffusion.tables import Discrete
from ..files import fsio, tensors
from ..model import DiffusionModel
from . import Imported, Refused, about, torch_file
from . import diffusers_scheduler as scheduler
from .diffusers_fields import OLD_SCHEDULER, SCHEDULER, UNET, VERSION, read_fields, read_json, text
from .diffusers_levels import offset_and_schedule, table_between
from .diffusers_unet import config_of, fields_of, from_theirs, on_levels, on_steps, to_theirs, unet_of

PIPELINES = ("DDPMPipeline", "DDIMPipeline")
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler")
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def read(path: Path, *, size: int | None = None) -> Imported:
    """The network of a folder, and how its pipeline samples. size: pixels a side, where the folder does not say.

    Raises `Refused` for what is no such folder, or is one that unet2d cannot express, naming the field.
    """
    if not path.is_dir():
        raise Refused(f"{path} is not a folder; give that of a pipeline of diffusers, with its unet/ and scheduler/")
    if (index := path / "model_index.json").exists() and (name := read_json(index).get("_class_name")) not in PIPELINES:
        raise Refused(f"{index} has _class_name={text(name)}; expected {' or '.join(PIPELINES)}")
    unet, rule = (path / name if (path / name).is_dir() else path for name in ("unet", "scheduler"))
    fields = read_fields(unet / "config.json", UNET, "UNet2DModel")
    rules = read_fields(rule / "scheduler_config.json", SCHEDULER | OLD_SCHEDULER, *SCHEDULERS)
    with about(rule / "scheduler_config.json"):
        betas = rules["trained_betas"]
        offset, schedule = (0.0, None) if betas is None else offset_and_schedule(betas)
        model_config = scheduler.model_config(rules, schedule)
    with about(unet / "config.json"):
        config = config_of(fields)
        height, width = _size(fields["sample_size"] if size is None else size)
    state, file = _weights(unet)
    with about(file):
        ours = from_theirs(state, config, fields["flip_sin_to_cos"])
    if schedule is not None:
        ours = on_levels(ours, offset)
    return Imported(
        network_config=ours.config,
        model_config=model_config,
        model_state=ours.state,
        ema_state=ours.state,
        step=0,
        shape=(config.channels, height, width),
        sampling=scheduler.sampling(rules),
    )


def _size(given: Any) -> tuple[int, int]:
    height, width = given if isinstance(given, list) and len(given) == 2 else (given, given)
    if not all(type(side) is int and 0 < side < 1 << 16 for side in (height, width)):
        raise Refused(f"has sample_size={text(given)}; give the pixels a side with --size")
    return height, width


def _weights(folder: Path) -> tuple[dict[str, Tensor], Path]:
    """The tensors of the first file of weights that is there, and its path."""
    for path in (folder / name for name in WEIGHTS):
        if path.exists():
            state = tensors.load(path) if path.suffix == ".safetensors" else torch_file.load(path)
            if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
                raise Refused(f"{path} holds no state dict; expected the tensors of a UNet2DModel")
            return state, path
    raise Refused(f"{folder} holds no weights; expected {' or '.join(WEIGHTS)}")


@torch.no_grad()
def write(model: DiffusionModel, folder: Path, *, sampling: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Writes the model as a new folder; lines that say as what.

    sampling: the recipe's [sample]. given: what a conditional model is told, of one sample, such as {"label": [3]}:
    theirs is an unconditional one, that of this condition. Raises ValueError for what diffusers cannot express.
    """
    height, width = model.shape[-2:]
    vector = model.condition(given, Draw(0, (0,))).vector
    unet = unet_of(model.network, vector)
    if not isinstance(model.codec, pixels.Codec):
        raise ValueError("DDPMPipeline and DDIMPipeline have no codec; a model of pixels alone can be exported")
    if unet.config.mults[0] != 1:
        raise ValueError(f"UNet2DModel cannot express network.mults={unet.config.mults}; its first is 1")
    multiple = 2 ** (len(unet.config.mults) - 1)
    if height % multiple or width % multiple:
        raise ValueError(f"UNet2DModel cannot take {height} x {width} pixels; train on multiples of {multiple}")
    if unet.config.steps and isinstance(model.schedule, Discrete):
        table = model.schedule.table
    else:
        ends = model.schedule(torch.tensor([0.0, 1.0], device=next(model.parameters()).device))
        offset, table = table_between(*ends.tolist())
        unet = on_steps(unet, offset)
    rules = scheduler.fields_of(model.config.prediction, model.config.schedule, table, sampling, model.codec.bounded)
    fields = {"_class_name": "UNet2DModel", **fields_of(unet.config, (height, width))}
    _write(folder, rules, fields, to_theirs(unet))
    pipeline = rules["_class_name"].replace("Scheduler", "Pipeline")
    total = sum(tensor.numel() for tensor in unet.state.values())
    steps = f"its DDIM walks evenly in a number of steps that divides {len(table)}"
    uneven = [steps] if pipeline == "DDIMPipeline" and len(table) % scheduler.STEPS else []
    return [
        f"{pipeline} of a UNet2DModel of {total:,} parameters, {len(table)} steps",
        f'next, in Python: diffusers.{pipeline}.from_pretrained("{folder}")',
        *uneven,
    ]


def _write(folder: Path, rules: dict[str, Any], fields: dict[str, Any], state: dict[str, Tensor]) -> None:
    """The whole folder, or none of it."""
    kind = rules["_class_name"]
    index = {"_class_name": kind.replace("Scheduler", "Pipeline")}
    index |= {"scheduler": ["diffusers", kind], "unet": ["diffusers", "UNet2DModel"]}
    staging = folder.parent / f"{fsio.TEMPORARY}{folder.name}-{os.getpid()}"
    try:
        for name in ("unet", "scheduler"):
            (staging / name).mkdir(parents=True)
        contents = {"model_index": index, "unet/config": fields, "scheduler/scheduler_config": rules}
        for name, table in contents.items():
            lines = json.dumps({"_diffusers_version": VERSION, **table}, indent=2, sort_keys=True)
            (staging / f"{name}.json").write_text(f"{lines}\n", encoding="utf-8")
        tensors.save(staging / "unet" / WEIGHTS[0], state, {"format": "pt"})
        for path in staging.rglob("*.*"):
            fsio.sync(path)
        if folder.exists():
            folder.rmdir()  # it is empty
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
