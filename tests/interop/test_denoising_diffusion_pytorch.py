"""Parity with the PyPI package denoising-diffusion-pytorch 2.3.4: same weights, same outputs, same samples."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from filmgrain.autoencoders import pixels
from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.tables import CosineBeta, LinearBeta, SigmoidBeta
from filmgrain.guidance.static_threshold import StaticThreshold
from filmgrain.interop import Refused, torch_file
from filmgrain.interop.denoising_diffusion_pytorch import _imported, config_of, convert, read
from filmgrain.model import DiffusionModel
from filmgrain.networks.ddp_unet import Config, Network
from filmgrain.samplers import ddim, ddpm, last

MAKES = {
    "two levels": dict(dim=16, dim_mults=(1, 2)),
    "three levels": dict(dim=16, dim_mults=(1, 2, 4)),
    "one level, grey, width 24": dict(dim=24, dim_mults=(3,), channels=1),
    "three heads of 8": dict(dim=16, dim_mults=(1, 2), attn_heads=3, attn_dim_head=8),
    "heads as wide as the memory is long": dict(dim=16, dim_mults=(1, 2), attn_heads=4, attn_dim_head=4),
    "full attention everywhere": dict(dim=16, dim_mults=(1, 2), full_attn=(True, True)),
    "full attention at the first alone, fused": dict(
        dim=16, dim_mults=(1, 2), full_attn=(True, False), flash_attn=True
    ),
}
SCHEDULES = {"sigmoid": SigmoidBeta, "cosine": CosineBeta, "linear": LinearBeta}
OBJECTIVES = {"pred_noise": "eps", "pred_x0": "x0", "pred_v": "v"}


def their_unet(ddp, **make) -> nn.Module:
    """A Unet of which no parameter is at its initial value, since ones and zeros would hide a swap."""
    torch.manual_seed(0)
    unet = ddp.Unet(**make).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return unet


def their_diffusion(ddp, *, make=MAKES["two levels"], **settings) -> nn.Module:
    return ddp.GaussianDiffusion(their_unet(ddp, **make), image_size=8, **settings)


def ours_of(state) -> Network:
    network = Network(config_of(state))
    network.load_state_dict(convert(state, network.config))
    return network.eval()


@torch.no_grad()
def outputs(theirs, ours, height=16, width=24):
    z, step = torch.randn(2, theirs.channels, height, width), torch.tensor([3, 977])
    return theirs(z, step), ours(z, step, Cond())


def assert_equal(theirs, ours):
    assert theirs.std() > 0.1  # of an output of order 1
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_same_weights_same_outputs(ddp, make):
    theirs = their_unet(ddp, **make)
    assert_equal(*outputs(theirs, ours_of(theirs.state_dict())))


def test_same_gradients(ddp):
    theirs = their_unet(ddp, **MAKES["three levels"])
    ours = ours_of(theirs.state_dict())
    z, step = torch.randn(2, 3, 8, 8), torch.tensor([3, 977])
    for output in (theirs(z, step), ours(z, step, Cond())):
        output.square().mean().backward()
    expected = convert({name: parameter.grad for name, parameter in theirs.named_parameters()}, ours.config)
    for name, parameter in ours.named_parameters():
        assert (parameter.grad - expected[name]).abs().max() < 1e-4 * expected[name].abs().max(), name


@pytest.mark.parametrize("mults", [(1, 2, 4, 8), (1, 2, 2)])
def test_same_number_of_parameters(ddp, mults):
    with torch.device("meta"):
        theirs, ours = ddp.Unet(dim=64, dim_mults=mults), Network(Config(mults=mults, attention=(len(mults) - 1,)))
    counts = [sum(p.numel() for p in network.parameters()) for network in (theirs, ours)]
    assert counts[0] == counts[1] and (mults != (1, 2, 4, 8) or counts[0] == 35_711_491)


def test_reads_what_their_trainer_saves(ddp, tmp_path):
    """At step 700 of a diffusion in 20 steps, EMA and optimiser included."""
    from ema_pytorch import EMA

    raw = their_diffusion(ddp, timesteps=20)
    averaged = EMA(raw)
    with torch.no_grad():
        for parameter in averaged.ema_model.parameters():
            parameter *= 0.9
    optimiser = torch.optim.Adam(raw.parameters())
    raw(torch.rand(2, 3, 8, 8)).backward()
    optimiser.step()
    accelerator = SimpleNamespace(is_local_main_process=True, get_state_dict=nn.Module.state_dict, scaler=None)
    trainer = SimpleNamespace(
        accelerator=accelerator, step=700, model=raw, opt=optimiser, ema=averaged, results_folder=tmp_path
    )
    ddp.Trainer.save(trainer, 1)
    found = read(tmp_path / "model-1.pt", size=8)
    assert (found.step, found.shape) == (700, (3, 8, 8))
    assert found.network_config == Config(width=16, mults=(1, 2), attention=(1,))
    assert (found.model_config.prediction, found.model_config.schedule) == ("v", SigmoidBeta(steps=20))
    for theirs, state in ((raw, found.model_state), (averaged.ema_model, found.ema_state)):
        ours = Network(found.network_config)
        ours.load_state_dict(state)
        assert_equal(*outputs(theirs.model.eval(), ours))
    assert not torch.equal(found.model_state["first.weight"], found.ema_state["first.weight"])


@pytest.mark.parametrize("min_snr", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1000, 100])
def test_what_is_predicted_and_the_schedule_are_told_from_buffers(ddp, schedule, objective, min_snr, steps):
    make = {"timesteps": steps, "beta_schedule": schedule, "objective": objective, "min_snr_loss_weight": min_snr}
    found = _imported(their_diffusion(ddp, **make).state_dict(), 8).model_config
    assert found.prediction == OBJECTIVES[objective]
    assert found.schedule == SCHEDULES[schedule](steps=steps, **{"beta_max": 0.999} if schedule == "cosine" else {})


def test_a_unet_alone_is_taken_to_be_of_its_defaults(ddp):
    found = _imported(their_unet(ddp, **MAKES["two levels"]).state_dict(), 8)
    assert (found.model_config.prediction, found.model_config.schedule) == ("v", SigmoidBeta())


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("sampler", "options"), [("ddpm", {}), ("ddim", {"eta": 0.0}), ("ddim", {"eta": 0.7})])
def test_same_chain_of_samples(ddp, monkeypatch, objective, sampler, options):
    """Their loops and our samplers walk through the same levels with the same noise.

    They keep the schedule as float32 tables of alpha_bar, we as log-SNR: hence 1e-4 and not 1e-6.
    """
    fewer = {} if sampler == "ddpm" else {"sampling_timesteps": 5, "ddim_sampling_eta": options["eta"]}
    diffusion = their_diffusion(ddp, timesteps=20, objective=objective, **fewer)
    start, *noise = torch.randn(21, 2, 3, 8, 8)
    drawn = iter(noise)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "randn", lambda shape, device=None: start)
        patched.setattr(torch, "randn_like", lambda x: next(drawn))
        theirs = diffusion.sample(2) * 2 - 1

    found = _imported(diffusion.state_dict(), 8)
    model = DiffusionModel(
        ours_of(diffusion.model.state_dict()), pixels.Codec(pixels.Config()), found.model_config, (3, 8, 8)
    )
    grid = grids.levels(model.schedule, 20 if sampler == "ddpm" else 5)
    module = {"ddpm": ddpm, "ddim": ddim}[sampler]
    walk = module.sample(StaticThreshold(model), start, grid, Cond(), noise=lambda i, z: noise[i], **options)
    assert (last(walk) - theirs).abs().max() < 1e-4
    assert (theirs.abs() < 0.99).float().mean() > 0.1  # clipping did not make them equal


@pytest.fixture(scope="module")
def state(ddp):
    return their_unet(ddp, **MAKES["two levels"]).state_dict()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"init_conv.weight": torch.zeros(16, 3, 3, 3)}, r"init_conv.weight has shape \(16, 3, 3, 3\); exp"),
        ({"init_conv.weight": torch.zeros(16, 6, 7, 7)}, r"has 6 channels in and 3 out \(self_condition\)"),
        ({"final_conv.weight": torch.zeros(6, 16, 1, 1)}, r"has 3 channels in and 6 out \(learned_variance"),
        ({"final_conv.bias": torch.zeros(6)}, r"final_conv.bias has shape \(6,\); expected \(3,\)"),
        ({"mid_block1.mlp.1.bias": None}, "mid_block1.mlp.1.bias is missing; expected"),
        ({"downs.0.2.to_out.1.g": None}, "downs.0.2.to_out.1.g is missing; expected"),
        ({"downs.0.2.to_out.0.bias": None}, "downs.0.2.to_out.0.bias is missing; expected"),
        ({"to_logits.weight": torch.zeros(2)}, r"to_logits.weight of shape \(2,\) has no place"),
        ({"time_mlp.1.weight": torch.zeros(64, 17), "time_mlp.0.weights": torch.zeros(8)}, "random or learned sinus"),
        ({"mid_block1.mlp.1.bias": torch.full((64,), torch.nan)}, "mid_block1.mlp.1.bias .* other than finite numbers"),
        ({"mid_attn.mem_kv": torch.zeros(2, 0, 4, 32)}, "no ddp_unet has"),
        ({"downs.1.3.weight": None}, "downs.1.3.weight is missing; expected 4 axes"),
    ],
)  # fmt: skip
def test_another_architecture_is_refused_by_its_first_differing_tensor(state, change, reason):
    changed = {name: tensor for name, tensor in (state | change).items() if tensor is not None}
    with pytest.raises(Refused, match=reason) as refused:
        convert(changed, config_of(changed))
    assert "\n" not in str(refused.value)


def test_another_width_of_the_first_features_is_refused(ddp):
    """`init_dim`, which ours has not: everything behind it differs."""
    state = their_unet(ddp, dim=16, init_dim=8, dim_mults=(1, 2)).state_dict()
    with pytest.raises(Refused, match=r"time_mlp.1.weight has shape \(64, 16\); expected \(32, 8\)"):
        convert(state, config_of(state))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"betas": torch.linspace(1e-4, 0.5, 20)}, r"has betas of shape \(20,\) that are of none of its schedules"),
        ({"loss_weight": torch.linspace(1e-4, 0.5, 20)}, r"has loss_weight of shape \(20,\) that is of none"),
        ({"loss_weight": None}, "has betas and no loss_weight"),
        ({"log_snr": torch.zeros(3)}, r"holds log_snr of shape \(3,\), which GaussianDiffusion of 2.x has not"),
    ],
)
def test_another_process_is_refused(ddp, monkeypatch, change, reason):
    state = their_diffusion(ddp, timesteps=20).state_dict() | change
    contents = {"model": {name: tensor for name, tensor in state.items() if tensor is not None}}
    monkeypatch.setattr(torch_file, "load", lambda path: contents)
    with pytest.raises(Refused, match=f"^x.pt {reason}"):
        read(Path("x.pt"))


def test_a_network_of_videos_is_named(ddp, peer):
    with pytest.raises(Refused, match="not of denoising-diffusion-pytorch but of video-diffusion-pytorch"):
        _imported(peer.Unet3D(dim=16, dim_mults=(1, 2)).state_dict(), 8)
