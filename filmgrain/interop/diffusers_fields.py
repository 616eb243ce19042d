"""The JSON configurations of diffusers: which fields there are, their defaults, and the values that ours can express.

As of diffusers 0.42.1, and what its early versions wrote besides.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from . import Refused

VERSION = "0.42.1"
LARGEST = 1 << 20  # bytes of a configuration; 1,000 betas take 25,000
COUNT = range(1, 1 << 16)


class Field(NamedTuple):
    default: Any
    allowed: Collection[Any] | None = None  # None: told elsewhere, or of no matter


UNET = {  # of UNet2DModel
    "sample_size": Field(None),
    "in_channels": Field(3, COUNT),
    "out_channels": Field(3, COUNT),
    "center_input_sample": Field(False, (False,)),
    "time_embedding_type": Field("positional", ("positional",)),
    "time_embedding_dim": Field(None),
    "freq_shift": Field(0, (0, 1)),
    "flip_sin_to_cos": Field(True, (True, False)),
    "down_block_types": Field(["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"]),
    "mid_block_type": Field("UNetMidBlock2D", ("UNetMidBlock2D",)),
    "up_block_types": Field(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
    "block_out_channels": Field([224, 448, 672, 896]),
    "layers_per_block": Field(2, range(1, 65)),
    "mid_block_scale_factor": Field(1, (1,)),
    "downsample_padding": Field(1, (0, 1)),
    "downsample_type": Field("conv", ("conv",)),
    "upsample_type": Field("conv", ("conv",)),
    "dropout": Field(0.0),
    "act_fn": Field("silu", ("silu", "swish")),
    "attention_head_dim": Field(8),
    "norm_num_groups": Field(32, COUNT),
    "attn_norm_num_groups": Field(None),
    "norm_eps": Field(1e-5),
    "resnet_time_scale_shift": Field("default", ("default", "scale_shift")),
    "add_attention": Field(True, (True,)),
    "class_embed_type": Field(None, (None,)),
    "num_class_embeds": Field(None, (None,)),
    "num_train_timesteps": Field(None),
}
SCHEDULER = {  # of DDPMScheduler and DDIMScheduler
    "num_train_timesteps": Field(1000, range(2, 100_001)),
    "beta_start": Field(1e-4),
    "beta_end": Field(0.02),
    "beta_schedule": Field("linear", ("linear", "scaled_linear", "squaredcos_cap_v2")),
    "trained_betas": Field(None),
    "variance_type": Field("fixed_small", ("fixed_small", "fixed_small_log", "fixed_large")),
    "clip_sample": Field(True, (True, False)),
    "clip_sample_range": Field(1.0, (1.0,)),
    "prediction_type": Field("epsilon", ("epsilon", "sample", "v_prediction")),
    "thresholding": Field(False, (False,)),
    "dynamic_thresholding_ratio": Field(0.995),
    "sample_max_value": Field(1.0),
    "timestep_spacing": Field("leading", ("leading", "trailing")),
    "steps_offset": Field(0, (0,)),
    "rescale_betas_zero_snr": Field(False, (True, False)),
    "set_alpha_to_one": Field(True, (True,)),
}
OLD_SCHEDULER = {"predict_epsilon": Field(True, (True,)), "timestep_values": Field(None), "tensor_format": Field("pt")}


def read_json(path: Path) -> dict[str, Any]:
    """The table in a file; raises `Refused`."""
    if not path.is_file():
        raise Refused(f"{path} is not a file; expected a configuration of diffusers")
    if (size := path.stat().st_size) > LARGEST:
        raise Refused(f"{path} has {size} bytes; expected a configuration of diffusers, of at most {LARGEST}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path} holds a {type(found).__name__}; expected a table, a configuration of diffusers")
    return found


def read_fields(path: Path, known: dict[str, Field], *kinds: str) -> dict[str, Any]:
    """Every field of a configuration and its `_class_name`, which must be one of `kinds`; raises `Refused`."""
    given = read_json(path)
    if given.get("_class_name") not in kinds:
        raise Refused(f"{path} has _class_name={text(given.get('_class_name'))}; expected {' or '.join(kinds)}")
    fields = {name: field.default for name, field in known.items()}
    for name, value in given.items():
        if name.startswith("_") or (name not in known and value in (None, False)):
            continue
        if name not in known:
            raise Refused(f"{path} has {name}={text(value)}, which diffusers {VERSION} does not know")
        default, allowed = known[name]
        if isinstance(default, int) and isinstance(value, float) and value.is_integer():
            value = int(value)
        if allowed is not None and (not isinstance(value, type(default)) or value not in allowed):
            raise Refused(f"{path} has {name}={text(value)}, which ours cannot express; expected {_choice(allowed)}")
        if isinstance(default, float) and type(value) not in (int, float):
            raise Refused(f"{path} has {name}={text(value)}; expected a number, such as {default}")
        fields[name] = value
    return fields | {"_class_name": given["_class_name"]}


def is_count(value: Any) -> bool:
    """Whether it is a number of channels or the like."""
    return type(value) is int and value in COUNT


def text(value: Any) -> str:
    """As it stands in the file, or its beginning."""
    whole = json.dumps(value)
    return whole if len(whole) < 60 else f"{whole[:60]} ..."


def _choice(allowed: Collection[Any]) -> str:
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    return " or ".join(json.dumps(value) for value in allowed)
