"""Folders of diffusers, without diffusers: what is read of our own, and what is refused, in one line with the field."""

import json
import math

import pytest
import torch

from filmgrain.autoencoders import pixels
from filmgrain.blocks.embedding import noise_position
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.schedules import Cosine
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.files import tensors
from filmgrain.files.tensors import Malformed
from filmgrain.interop import Refused, diffusers, diffusers_unet
from filmgrain.interop.diffusers_fields import UNET
from filmgrain.interop.diffusers_levels import table_between
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import ddpm_unet, simple_unet, unet2d

SMALL = {"width": 16, "groups": 4, "mults": (1, 2), "attention": (1,), "blocks": 1}
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def model_of(config=None, schedule=None, prediction="v", shape=(3, 8, 8)) -> DiffusionModel:
    module = {unet2d.Config: unet2d, ddpm_unet.Config: ddpm_unet, simple_unet.Config: simple_unet}
    config = config or unet2d.Config(**SMALL, head_width=8, steps=True)
    torch.manual_seed(0)
    network = module[type(config)].Network(config)
    diffusion = Diffusion(prediction=prediction, schedule=schedule or LinearBeta())
    model = DiffusionModel(network, pixels.Codec(pixels.Config()), diffusion, shape).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.fixture
def folder(tmp_path):
    diffusers.write(model_of(), tmp_path / "out", sampling={"sampler": "ddim"}, given={})
    return tmp_path / "out"


def change(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@torch.no_grad()
def test_what_goes_out_comes_in_again(folder):
    model, found = model_of(), diffusers.read(folder)
    assert found.network_config == model.network.config and found.shape == (3, 8, 8)
    assert found.model_config == Diffusion(prediction="v", schedule=LinearBeta(scale=False))
    assert found.sampling == {"grid": "trailing", "threshold": "static", "sampler": "ddim", "steps": 50}
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, found.model_state[name])


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(shift=-2), Cosine(logsnr_min=-5, logsnr_max=5), LinearBeta()])
@torch.no_grad()
def test_a_network_of_levels_goes_out_on_steps_and_comes_in_again(tmp_path, schedule):
    """The schedule comes back as the cosine one, which is that of equal steps of angle, of the same ends or nearly."""
    model = model_of(unet2d.Config(**SMALL, head_width=8, shift=0), schedule)
    diffusers.write(model, tmp_path / "out", sampling={}, given={})
    found = diffusers.read(tmp_path / "out")
    assert found.network_config == model.network.config and found.sampling["grid"] == "uniform"
    ends = torch.tensor([0.0, 1.0])
    before, after = schedule(ends).abs(), found.model_config.schedule(ends).abs()
    assert torch.where(before > 9.1, (after - 14).abs() < 0.4, (after - before).abs() < 0.05).all()
    network = unet2d.Network(found.network_config).eval()
    network.load_state_dict(found.model_state)
    z, logsnr = torch.randn(2, 3, 8, 8), torch.tensor([-3.0, 4.0])
    assert (network(z, logsnr, Cond()) - model.network(z, logsnr, Cond())).abs().max() < 1e-4


def test_googles_published_configuration_is_the_network_of_ho_et_al():
    given = {name: field.default for name, field in UNET.items()} | {
        "attention_head_dim": None,
        "block_out_channels": [128, 256, 256, 256],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-06,
        "sample_size": 32,
    }
    with torch.device("meta"):
        network = unet2d.Network(diffusers_unet.config_of(given))
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307


@torch.no_grad()
def test_a_ddpm_unet_goes_out_as_the_unet2d_that_it_is(tmp_path):
    model = model_of(ddpm_unet.Config(**SMALL | {"attention": (0, 1)}))
    diffusers.write(model, tmp_path / "out", sampling={}, given={})
    found = diffusers.read(tmp_path / "out")
    network = unet2d.Network(found.network_config).eval()
    network.load_state_dict(found.model_state)
    z, step = torch.randn(2, 3, 8, 8), torch.tensor([0, 999])
    expected = model.network(z, step, Cond())
    assert expected.std() > 0.1 and (network(z, step, Cond()) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("low", "high", "count"), [(-20, 20, 1000), (-9.5, 9.5, 1000), (-4, 6, 883), (-25, -1, 347)])
def test_the_steps_of_a_network_of_levels(low, high, count):
    offset, table = table_between(high, low)
    assert len(table) == count and table.dtype == torch.float64
    torch.testing.assert_close(noise_position(table), offset + torch.arange(count, dtype=torch.float64))
    assert count == 1000 or (low - 1e-3 <= table[-1] and table[0] <= high + 1e-3)


FIELDS = {  # of unet/config.json: what is said of it
    "center_input_sample": (True, "expected false"),
    "time_embedding_type": ("fourier", 'expected "positional"'),
    "time_embedding_dim": (100, "unet2d can express 64 alone"),
    "freq_shift": (2, "expected 0 or 1"),
    "mid_block_type": (None, 'expected "UNetMidBlock2D"'),
    "mid_block_scale_factor": (math.sqrt(2), "expected 1"),
    "downsample_padding": (2, "expected 0 or 1"),
    "downsample_type": ("resnet", 'expected "conv"'),
    "upsample_type": ("resnet", 'expected "conv"'),
    "act_fn": ("gelu", 'expected "silu" or "swish"'),
    "resnet_time_scale_shift": ("ada_group", 'expected "default" or "scale_shift"'),
    "add_attention": (False, "expected true"),
    "class_embed_type": ("timestep", "expected null"),
    "num_class_embeds": (10, "expected null"),
    "attn_norm_num_groups": (8, "unet2d can express 4 alone"),
    "out_channels": (6, "unet2d can express 3 alone"),
    "in_channels": (0, "expected 1 to 65535"),
    "layers_per_block": (10**9, "expected 1 to 64"),
    "norm_num_groups": (3, r"does not divide block_out_channels=\[16, 32\]"),
    "attention_head_dim": (5, "expected a divisor of the widths that attend, or null"),
    "norm_eps": ("small", "expected a number, such as 1e-05"),
    "dropout": (2, "dropout=2 is not a part"),
    "block_out_channels": ([16, 24], "multiples of the first"),
    "down_block_types": (["DownBlock2D", "SkipDownBlock2D"], "expected DownBlock2D or AttnDownBlock2D, 2 of them"),
    "up_block_types": (["UpBlock2D", "AttnUpBlock2D"], r"mirror image of down_block_types, \['AttnUpBlock2D', 'UpB"),
    "sample_size": (None, "give the pixels a side with --size"),
    "norm_kind": ("layer", "does not know"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_network_that_ours_cannot_express_is_refused_by_its_field(folder, field):
    value, reason = FIELDS[field]
    change(folder / "unet" / "config.json", **{field: value})
    with pytest.raises(Refused, match=reason) as refused:
        diffusers.read(folder)
    text = str(refused.value)
    assert "\n" not in text and "config.json" in text
    assert field in text


@pytest.mark.parametrize("value", [[10**12] * 2, [], "abc", [16.5, 32], [True, 32], [16] * 100, None])
def test_hostile_widths_are_refused_before_anything_is_built(folder, value):
    change(folder / "unet" / "config.json", block_out_channels=value)
    with pytest.raises(Refused, match=r"has block_out_channels=.*; expected a list of widths"):
        diffusers.read(folder)


RULES = {  # of scheduler/scheduler_config.json
    "beta_schedule": ("sigmoid", 'expected "linear" or "scaled_linear" or "squaredcos_cap_v2"'),
    "trained_betas": ([0.1, 0.2], r"trained_betas=\[0.1, 0.2\]; ours can express null, and equal steps of angle"),
    "variance_type": ("learned_range", 'expected "fixed_small" or'),
    "prediction_type": ("flow", 'expected "epsilon" or'),
    "thresholding": (True, "expected false"),
    "clip_sample_range": (2.0, "expected 1.0"),
    "timestep_spacing": ("linspace", 'expected "leading" or "trailing"'),
    "steps_offset": (1, "expected 0"),
    "set_alpha_to_one": (False, "expected true"),
    "predict_epsilon": (False, "expected true"),
    "num_train_timesteps": (10**12, "expected 2 to 100000"),
    "beta_start": ("a", "expected a number, such as 0.0001"),
    "beta_end": (2, "beta_last=2 do not rise between 0 and 1"),
    "use_karras_sigmas": (True, "does not know"),
    "_class_name": ("PNDMScheduler", 'has _class_name="PNDMScheduler"; expected DDPMScheduler or DDIMScheduler'),
}


@pytest.mark.parametrize("field", RULES)
def test_a_scheduler_that_ours_cannot_express_is_refused_by_its_field(folder, field):
    value, reason = RULES[field]
    change(folder / "scheduler" / "scheduler_config.json", **{field: value})
    with pytest.raises(Refused, match=reason) as refused:
        diffusers.read(folder)
    assert "\n" not in str(refused.value) and "scheduler_config.json" in str(refused.value)


def test_eps_of_pure_noise_is_refused(folder):
    rules = {"rescale_betas_zero_snr": True, "prediction_type": "epsilon"}
    change(folder / "scheduler" / "scheduler_config.json", **rules)
    with pytest.raises(Refused, match='prediction="eps" with zero_terminal_snr=true'):
        diffusers.read(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"conv_in.weight": torch.zeros(16, 3, 5, 5)},
            r"conv_in.weight has shape \(16, 3, 5, 5\); expected \(16, 3, 3",
        ),
        ({"mid_block.attentions.0.to_k.bias": None}, "mid_block.attentions.0.to_k.bias is missing; expected"),
        ({"down_blocks.0.attentions.0.to_q.weight": torch.zeros(1)}, r"to_q.weight of shape \(1,\) has no place"),
        ({"conv_out.bias": torch.full((3,), math.inf)}, "conv_out.bias .* other than finite numbers"),
    ],
)
def test_other_tensors_are_refused_by_the_first_that_differs(folder, changes, reason):
    state = tensors.load(folder / WEIGHTS) | changes
    tensors.save(folder / WEIGHTS, {name: tensor for name, tensor in state.items() if tensor is not None})
    with pytest.raises(Refused, match=reason) as refused:
        diffusers.read(folder)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(str(folder / WEIGHTS))


def test_damaged_folders_are_refused(folder, tmp_path):
    def refused(match, kind=Refused):
        with pytest.raises(kind, match=match) as caught:
            diffusers.read(folder)
        assert "\n" not in str(caught.value)

    (folder / WEIGHTS).write_bytes(b"0" * 20)
    refused("not a sound safetensors file", Malformed)
    (folder / WEIGHTS).unlink()
    refused("holds no weights; expected diffusion_pytorch_model.safetensors or")
    for text, match in (("{", "is not JSON"), ("[]", "holds a list; expected a table"), ("[" * 9999, "is not JSON")):
        (folder / "unet" / "config.json").write_text(text)
        refused(match)
    (folder / "scheduler" / "scheduler_config.json").unlink()
    (folder / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    refused('has _class_name="UNet2DConditionModel"; expected UNet2DModel')
    (folder / "unet" / "config.json").unlink()
    refused(r"unet/config.json is not a file")
    change(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    refused('has _class_name="StableDiffusionPipeline"; expected DDPMPipeline or DDIMPipeline')
    with pytest.raises(Refused, match="is not a folder"):
        diffusers.read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: model_of(unet2d.Config(**SMALL, head_width=8, patch=2, steps=True)), "network.patch=2; train with"),
        (lambda: model_of(unet2d.Config(**SMALL, head_width=8, maps=1, steps=True)), "network.maps=1; train with"),
        (lambda: model_of(unet2d.Config(**SMALL | {"mults": (2, 4)}, head_width=8, steps=True)), "its first is 1"),
        (lambda: model_of(simple_unet.Config(width=8, mults=(1, 2))), "cannot express the network simple_unet; unet2d"),
        (lambda: model_of(shape=(3, 9, 8)), "cannot take 9 x 8 pixels; train on multiples of 2"),
        (lambda: model_of(prediction="flow"), 'know no prediction="flow"; train with v, eps or x0'),
    ],
)
def test_what_diffusers_cannot_express_is_refused_and_nothing_written(tmp_path, model, reason):
    with pytest.raises(ValueError, match=reason) as refused:
        diffusers.write(model(), tmp_path / "out", sampling={}, given={})
    assert "\n" not in str(refused.value) and not any(tmp_path.iterdir())


def test_another_table_than_its_sinusoids_is_refused(tmp_path):
    model = model_of(ddpm_unet.Config(**SMALL))
    model.network.time.table += 0.1
    with pytest.raises(ValueError, match="table holds other numbers than its sinusoids"):
        diffusers.write(model, tmp_path / "out", sampling={}, given={})


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "save", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        diffusers.write(model_of(), tmp_path / "out", sampling={}, given={})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sampling", "pipeline", "rules"),
    [
        ({}, "DDIM", {"clip_sample": True, "timestep_spacing": "trailing"}),
        ({"sampler": "heun", "threshold": "none", "grid": "leading"}, "DDIM", {"clip_sample": False}),
        ({"sampler": "ddpm", "options": {"variance": "fixedlarge"}}, "DDPM", {"variance_type": "fixed_large"}),
        ({"sampler": "ancestral", "grid": "leading"}, "DDPM", {"variance_type": "fixed_small"}),
    ],
)
def test_the_scheduler_is_the_nearest_to_the_runs_sampling(tmp_path, sampling, pipeline, rules):
    lines = diffusers.write(model_of(), tmp_path / "out", sampling=sampling, given={})
    assert lines[0].startswith(f"{pipeline}Pipeline of a UNet2DModel of ")
    found = json.loads((tmp_path / "out" / "scheduler" / "scheduler_config.json").read_text())
    grid = {"timestep_spacing": "leading" if sampling.get("grid") == "leading" else "trailing"}
    assert found.items() >= ({"_class_name": f"{pipeline}Scheduler"} | grid | rules).items()
