"""Parity with diffusers 0.42.1: the same network of the same folder, and the same images of its own pipelines.

Imported here alone, since importing it takes ten seconds.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from filmgrain.autoencoders import pixels
from filmgrain.conditioning import label
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.draw import Draw
from filmgrain.diffusion.schedules import Cosine, Flow, Learned
from filmgrain.diffusion.tables import CosineBeta, LinearBeta, ScaledLinearBeta, SigmoidBeta
from filmgrain.generate.sampling import Config as Sampling
from filmgrain.guidance.static_threshold import StaticThreshold
from filmgrain.interop import diffusers as ours
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks import ddpm_unet, unet2d
from filmgrain.samplers import ddim, ddpm, last

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
DOWN, UP, ATTENDS = "DownBlock2D", "UpBlock2D", ("AttnDownBlock2D", "AttnUpBlock2D")


@pytest.fixture(scope="session")
def diffusers():
    pytest.importorskip("diffusers", reason="the reference packages are not installed: tests/reference.txt")
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel

    found = (DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel)
    return SimpleNamespace(**{kind.__name__: kind for kind in found})


def levels(*attend, **make):
    """Levels of which those in `attend` attend."""
    count = len(make["block_out_channels"])
    down = [ATTENDS[0] if level in attend else DOWN for level in range(count)]
    up = [ATTENDS[1] if level in attend else UP for level in reversed(range(count))]
    return make | {"down_block_types": down, "up_block_types": up}


TINY = {"sample_size": 16, "block_out_channels": (32, 64), "layers_per_block": 1}
AUTHORS = {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6}
MAKES = {
    "by default": levels(1, **TINY),
    "the authors', as of google/ddpm-cifar10-32": levels(
        1, sample_size=16, block_out_channels=(32, 64, 64, 64), attention_head_dim=None, **AUTHORS
    ),
    "scale and shift": levels(
        0, 1, **TINY, resnet_time_scale_shift="scale_shift", attn_norm_num_groups=16, norm_num_groups=16, norm_eps=1e-4
    ),
    "one head of each width": levels(0, 1, **TINY, attention_head_dim=None),
    "one level, grey": levels(sample_size=8, block_out_channels=(32,), in_channels=1, out_channels=1),
    "no attention, heads of 32, not square": levels(**TINY | {"sample_size": (8, 16)}, attention_head_dim=32),
}


def their_unet(diffusers, make):
    """A UNet2DModel of which no parameter is at its initial value, since ones and zeros would hide a swap."""
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(**make).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return unet


def saved(diffusers, folder, make=MAKES["by default"], pipeline="DDPM", **rules):
    """The folder of their pipeline, and its network."""
    unet = their_unet(diffusers, make)
    scheduler = getattr(diffusers, f"{pipeline}Scheduler")(**rules)
    getattr(diffusers, f"{pipeline}Pipeline")(unet, scheduler).save_pretrained(folder)
    return unet


def model_of(found) -> DiffusionModel:
    network = unet2d.Network(found.network_config)
    network.load_state_dict(found.model_state)
    return DiffusionModel(network, pixels.Codec(pixels.Config()), found.model_config, found.shape).eval()


@torch.no_grad()
def assert_same_outputs(unet, network):
    size = unet.config.sample_size
    z = torch.randn(2, unet.config.in_channels, *(size if isinstance(size, (list, tuple)) else (size, size)))
    step = torch.tensor([3, 977])
    expected = unet(z, step).sample
    assert expected.std() > 0.1
    assert (network(z, step, Cond()) - expected).abs().max() < 1e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_same_folder_same_outputs(diffusers, tmp_path, make):
    unet = saved(diffusers, tmp_path, make)
    found = ours.read(tmp_path)
    size = make["sample_size"]
    assert found.shape == (unet.config.in_channels, *(size if isinstance(size, tuple) else (size, size)))
    assert_same_outputs(unet, model_of(found).network)


def test_google_ddpm_cifar10_32_is_unet2d(diffusers):
    """Its published configuration, of full width: as many parameters as Ho et al. have, and the same outputs."""
    make = levels(1, sample_size=32, block_out_channels=(128, 256, 256, 256), attention_head_dim=None, **AUTHORS)
    unet = their_unet(diffusers, make)
    config = ours.config_of(dict(unet.config) | {"block_out_channels": [128, 256, 256, 256]})
    assert config == unet2d.Config(
        attention=(1,), head_width=0, groups=32, modulation="add", eps=1e-6, corner=True, steps=True
    )
    network = unet2d.Network(config).eval()
    network.load_state_dict(ours.from_theirs(unet.state_dict(), config, flip=False).state)
    assert sum(parameter.numel() for parameter in network.parameters()) == 35_746_307
    assert_same_outputs(unet, network)


def test_early_folders_are_read(diffusers, tmp_path):
    """Of 2022: everything in one folder, attention under its old names, weights as a pickle."""
    unet = saved(diffusers, tmp_path / "new")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, tensor in unet.state_dict().items():
        for now, then in old.items():
            name = name.replace(f".{now}.", f".{then}.")
        state[name] = tensor
    assert sum("proj_attn" in name for name in state) == 2 * 4
    flat = tmp_path / "old"
    flat.mkdir()
    torch.save(state, flat / "diffusion_pytorch_model.bin")
    for name in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json"):
        source = tmp_path / "new" / name
        (flat / source.name).write_text(source.read_text())
    rules = json.loads((flat / "scheduler_config.json").read_text())
    early = {"_class_name": "DDPMScheduler", "tensor_format": "pt", "timestep_values": None, "predict_epsilon": True}
    kept = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "variance_type", "clip_sample")
    (flat / "scheduler_config.json").write_text(json.dumps(early | {name: rules[name] for name in kept}))
    found = ours.read(flat)
    assert_same_outputs(unet, model_of(found).network)
    assert found.sampling == ours.read(tmp_path / "new").sampling


def in_range(images):
    """Their images, from [0, 1] to [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1


@torch.no_grad()
def our_images(model, levels, how, told=None, **options):
    """From noise drawn as their pipelines draw it."""
    rng = torch.Generator().manual_seed(5)
    start, told = torch.randn(2, *model.shape, generator=rng), told or Cond()
    denoiser = StaticThreshold(model) if how["threshold"] == "static" else model
    if how["sampler"] == "ddim":
        return last(ddim.sample(denoiser, start, levels, told, noise=lambda i, z: 0 * z)).clamp(-1, 1)
    draw = lambda i, z: torch.randn(z.shape, generator=rng)  # noqa: E731
    return last(ddpm.sample(denoiser, start, levels, told, noise=draw, **options)).clamp(-1, 1)


def their_images(diffusers, folder, steps):
    kind = json.loads((folder / "model_index.json").read_text())["_class_name"]
    pipeline = getattr(diffusers, kind).from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    more = {"use_clipped_model_output": True} if kind == "DDIMPipeline" else {}  # as ours, which clips x0 and no more
    rng = torch.Generator().manual_seed(5)
    images = pipeline(2, generator=rng, num_inference_steps=steps, output_type="np", **more).images
    return in_range(images), pipeline.scheduler.timesteps


def walked(model, timesteps, table=None):
    table = model.schedule.table if table is None else table
    return torch.cat([table[timesteps], torch.tensor([torch.inf])]).float()


RULES = {
    "DDPM": ("DDPM", {}),
    "DDPM, fixed large, v": ("DDPM", {"variance_type": "fixed_large", "prediction_type": "v_prediction"}),
    "DDPM, cosine, x0, trailing": (
        "DDPM",
        {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample", "timestep_spacing": "trailing"},
    ),
    "DDIM": ("DDIM", {}),
    "DDIM, Stable Diffusion's betas, free": (
        "DDIM",
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False},
    ),
    "DDIM, zero terminal SNR": (
        "DDIM",
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ),
}


@pytest.mark.parametrize(("pipeline", "rules"), RULES.values(), ids=RULES)
def test_an_imported_folder_samples_what_its_pipeline_does(diffusers, tmp_path, pipeline, rules):
    saved(diffusers, tmp_path, pipeline=pipeline, **rules)
    found = ours.read(tmp_path)
    theirs, timesteps = their_images(diffusers, tmp_path, 10)
    model, how = model_of(found), found.sampling
    images = our_images(model, walked(model, timesteps), how, **how.get("options", {}))
    assert (images - theirs).abs().max() < 1e-3
    assert (theirs.abs() < 0.99).float().mean() > 0.05  # clipping did not make them equal
    by_recipe = Sampling(**how | {"steps": 10}).grid_of(model.schedule)
    assert torch.equal(by_recipe, walked(model, timesteps))


def make_alive(model: DiffusionModel) -> DiffusionModel:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


SMALL = {"width": 32, "mults": (1, 2), "attention": (1,), "blocks": 1}
LABELS = label.Config(names=("cat", "dog", "fish"))
NETWORKS = {
    "unet2d on steps": (unet2d.Config(**SMALL, steps=True), LinearBeta(), "eps"),
    "unet2d on levels": (unet2d.Config(**SMALL, head_width=16), Cosine(), "v"),
    "unet2d on levels, cut short": (unet2d.Config(**SMALL), Cosine(logsnr_min=-4, logsnr_max=7, shift=-1), "eps"),
    "unet2d on the levels of a table": (unet2d.Config(**SMALL), SigmoidBeta(steps=50), "x0"),
    "unet2d of a flow": (unet2d.Config(**SMALL, modulation="add", shift=0, groups=16), Flow(), "v"),
    "unet2d of learned levels": (unet2d.Config(**SMALL, eps=1e-6, corner=True), Learned(), "v"),
    "ddpm_unet": (ddpm_unet.Config(**SMALL, groups=16), LinearBeta(steps=300), "eps"),
    "ddpm_unet, attention of two widths": (
        ddpm_unet.Config(**SMALL | {"attention": (0, 1)}),
        CosineBeta(zero_terminal_snr=True),
        "v",
    ),
}


def model_with(network, schedule, prediction, labels=None, size=(8, 16)) -> DiffusionModel:
    module = {unet2d.Config: unet2d, ddpm_unet.Config: ddpm_unet}[type(network)]
    conditioners = {}
    if labels:
        network = replace(network, condition=6)
        conditioners = {"label": label.Conditioner(labels, vector=6)}
    torch.manual_seed(0)
    config = Diffusion(prediction=prediction, schedule=schedule)
    codec = pixels.Codec(pixels.Config())
    return make_alive(DiffusionModel(module.Network(network), codec, config, (3, *size), conditioners))


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("labels", [None, LABELS], ids=["told nothing", "of labels"])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@torch.no_grad()
def test_an_exported_run_samples_in_their_pipeline(diffusers, tmp_path, make, labels, sampler):
    model, given = model_with(*make, labels), {"label": [1]} if labels else {}
    how = {"sampler": sampler, "threshold": "static", "grid": "uniform"}
    ours.write(model, tmp_path / "out", sampling=how, given=given)
    told = model.condition({key: value * 2 for key, value in given.items()}, Draw(0, (0, 1)))
    ends = model.schedule(torch.tensor([0.0, 1.0])).tolist()
    table = model.schedule.table if model.network.takes_steps else ours.table_between(*ends)[1]
    steps = next(n for n in range(8, len(table)) if len(table) % n == 0)  # others their DDIM takes unevenly
    theirs, timesteps = their_images(diffusers, tmp_path / "out", steps)
    images = our_images(model, walked(model, timesteps, table), how, told=told)
    assert (images - theirs).abs().max() < 1e-3
    assert (theirs.abs() < 0.99).float().mean() > 0.05

    unet = diffusers.UNet2DModel.from_pretrained(tmp_path / "out" / "unet")
    z, step = torch.randn(2, 3, 8, 16), torch.tensor([1, len(table) - 2])
    expected = unet(z, step).sample
    assert expected.std() > 0.1
    assert (model.raw(z, table[step].float(), told) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("pipeline", "rules"), RULES.values(), ids=RULES)
def test_out_again_is_as_it_came(diffusers, tmp_path, pipeline, rules):
    """But for what is said in other words: attn_norm_num_groups, cosines first, betas of a table without a name."""
    make = MAKES["by default"] | {"flip_sin_to_cos": False, "attn_norm_num_groups": 32}
    unet = saved(diffusers, tmp_path / "in", make, pipeline, **rules)
    found = ours.read(tmp_path / "in")
    ours.write(model_of(found), tmp_path / "out", sampling=found.sampling, given={})
    named = "rescale_betas_zero_snr" not in rules
    for name in ("model_index.json", "unet/config.json", *(["scheduler/scheduler_config.json"] if named else [])):
        before, after = (json.loads((tmp_path / way / name).read_text()) for way in ("in", "out"))
        before = {key: value for key, value in before.items() if not key.startswith("_use")}
        assert after == before
    again = ours.tensors.load(tmp_path / "out" / "unet" / ours.WEIGHTS[0])
    assert set(again) == set(unet.state_dict())
    assert all(torch.equal(again[name], tensor) for name, tensor in unet.state_dict().items())


def test_scaled_betas_keep_their_name(diffusers, tmp_path):
    for schedule, name in ((ScaledLinearBeta(steps=500), "scaled_linear"), (LinearBeta(steps=10), None)):
        model = model_with(unet2d.Config(**SMALL, steps=True), schedule, "v")
        ours.write(model, tmp_path / str(name), sampling={}, given={})
        theirs = diffusers.DDIMScheduler.from_pretrained(tmp_path / str(name) / "scheduler")
        assert (theirs.config.trained_betas is None) == (name is not None)
        assert name is None or theirs.config.beta_schedule == name
        expected = schedule.table.sigmoid()
        torch.testing.assert_close(theirs.alphas_cumprod.double(), expected, rtol=0, atol=3e-6)
