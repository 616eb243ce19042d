"""Parity with the PyPI package video-diffusion-pytorch 0.7.0: same weights, same outputs, same chain of samples."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from filmgrain.autoencoders import pixels
from filmgrain.blocks.embedding import RelativePosition
from filmgrain.diffusion import grids
from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.tables import CosineBeta
from filmgrain.guidance.static_threshold import StaticThreshold
from filmgrain.interop import Refused
from filmgrain.interop.video_diffusion_pytorch import config_of, convert, read, their_name
from filmgrain.model import Config as Diffusion
from filmgrain.model import DiffusionModel
from filmgrain.networks.unet3d import Config, Network
from filmgrain.samplers import ancestral, last

MAKES = {
    "two levels": dict(dim=16, dim_mults=(1, 2)),
    "three levels": dict(dim=16, dim_mults=(1, 2, 4)),
    "three heads": dict(dim=16, dim_mults=(1, 2), attn_heads=3),
    "one head, grey, width 24": dict(dim=24, dim_mults=(1, 3), attn_heads=1, channels=1),
    "no linear attention": dict(dim=16, dim_mults=(1, 2), use_sparse_linear_attn=False),
}


def their_unet(peer, **make) -> nn.Module:
    """A Unet3D of which no parameter is at its initial value, since ones and zeros would hide a swap."""
    torch.manual_seed(0)
    unet = peer.Unet3D(**make).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return unet


def ours_of(state) -> Network:
    network = Network(config_of(state))
    network.load_state_dict(convert(state, network.config))
    return network.eval()


@torch.no_grad()
def outputs(theirs, ours, frames=5, height=16, width=24):
    z, step = torch.randn(2, theirs.channels, frames, height, width), torch.tensor([3, 977])
    return theirs(z, step), ours(z, step, Cond())


def assert_equal(theirs, ours):
    assert theirs.std() > 0.1  # of an output of order 1
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_same_weights_same_outputs(peer, make):
    theirs = their_unet(peer, **make)
    assert_equal(*outputs(theirs, ours_of(theirs.state_dict())))


@pytest.mark.parametrize("frames", [1, 40])  # 40: beyond the biases' 32 frames, and by the fused kernel
def test_same_outputs_for_any_number_of_frames(peer, frames):
    theirs = their_unet(peer, dim=16, dim_mults=(1, 2))
    assert_equal(*outputs(theirs, ours_of(theirs.state_dict()), frames, 8, 8))


def test_same_buckets_of_distance(peer):
    distance = torch.arange(-200, 201)[None]
    theirs = peer.RelativePositionBias._relative_position_bucket(distance, num_buckets=32, max_distance=32)
    assert torch.equal(RelativePosition(1).bucket(distance), theirs)


def test_group_norm_of_earlier_versions(peer, monkeypatch):
    monkeypatch.setattr(peer, "RMSNorm", lambda channels: nn.GroupNorm(8, channels))
    theirs = their_unet(peer, dim=16, dim_mults=(1, 2, 4))
    ours = ours_of(theirs.state_dict())
    assert ours.config.norm == "group"
    assert_equal(*outputs(theirs, ours))


def test_same_number_of_trainable_parameters(peer):
    with torch.device("meta"):
        theirs, ours = peer.Unet3D(dim=64, dim_mults=(1, 2, 4, 8)), Network(Config())
    for network in (theirs, ours):
        assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 35_706_243


def test_no_two_of_our_names_are_one_of_theirs():
    with torch.device("meta"):
        names = [name for name, _ in Network(Config()).named_parameters()]
    assert len({their_name(name) for name in names}) == len(names)


def trained(peer, folder, **make):
    """What the peer's own Trainer saves at step 700 of a 20-step diffusion, and the two diffusions in it."""
    raw, averaged = (
        peer.GaussianDiffusion(their_unet(peer, **make), image_size=8, num_frames=3, timesteps=20) for _ in range(2)
    )
    with torch.no_grad():
        for parameter in averaged.parameters():
            parameter *= 0.9 if parameter.requires_grad else 1
    state = SimpleNamespace(
        step=700, model=raw, ema_model=averaged, scaler=torch.amp.GradScaler("cpu"), results_folder=folder
    )
    peer.Trainer.save(state, 1)
    return folder / "model-1.pt", raw, averaged


def test_reads_what_their_trainer_saves(peer, tmp_path):
    path, raw, averaged = trained(peer, tmp_path, dim=16, dim_mults=(1, 2))
    found = read(path, frames=3, size=8)
    assert (found.step, found.shape) == (700, (3, 3, 8, 8))
    assert found.network_config == Config(width=16, mults=(1, 2), steps=True)
    assert (found.model_config.prediction, found.model_config.schedule) == ("eps", CosineBeta(steps=20))
    for theirs, state in ((raw, found.model_state), (averaged, found.ema_state)):
        ours = Network(found.network_config)
        ours.load_state_dict(state)
        assert_equal(*outputs(theirs.denoise_fn, ours))
    assert not torch.equal(found.model_state["first.weight"], found.ema_state["first.weight"])


def test_same_chain_of_samples(peer, monkeypatch):
    """Their p_sample_loop and our ancestral sampler walk through the same 20 levels with the same noise.

    They keep the schedule as float32 tables of alpha_bar, we as log-SNR: hence 1e-4 and not 1e-6.
    """
    diffusion = peer.GaussianDiffusion(
        their_unet(peer, dim=16, dim_mults=(1, 2)), image_size=8, num_frames=3, timesteps=20
    )
    start, *noise = torch.randn(21, 2, 3, 3, 8, 8)

    drawn = iter(noise)
    monkeypatch.setattr(peer.torch, "randn", lambda shape, device=None: start)
    monkeypatch.setattr(peer.torch, "randn_like", lambda x: next(drawn))
    theirs = diffusion.p_sample_loop(start.shape) * 2 - 1
    assert next(drawn, None) is None

    model_config = Diffusion(prediction="eps", schedule=CosineBeta(steps=20))
    model = DiffusionModel(
        ours_of(diffusion.denoise_fn.state_dict()), pixels.Codec(pixels.Config()), model_config, tuple(start.shape[1:])
    )
    levels = grids.levels(model.schedule, 20)
    walk = ancestral.sample(StaticThreshold(model), start, levels, Cond(), noise=lambda i, z: noise[i], gamma=0.0)
    assert (last(walk) - theirs).abs().max() < 1e-4
    assert (theirs.abs() < 0.99).float().mean() > 0.2  # clipping did not make them equal


@pytest.fixture(scope="module")
def state(peer):
    return their_unet(peer, dim=16, dim_mults=(1, 2)).state_dict()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"init_conv.weight": torch.zeros(16, 3, 1, 5, 5)}, r"init_conv.weight has shape \(16, 3, 1, 5, 5\); exp"),
        ({"final_conv.1.weight": torch.zeros(6, 16, 1, 1, 1)}, r"final_conv.1.weight has shape \(6, 16, 1, 1, 1\)"),
        ({"mid_block1.mlp.1.bias": None}, "mid_block1.mlp.1.bias is missing; expected"),
        ({"to_logits.weight": torch.zeros(2)}, r"to_logits.weight of shape \(2,\) has no place"),
        ({"mid_block1.mlp.1.bias": torch.full((64,), torch.nan)}, "mid_block1.mlp.1.bias .* other than finite numbers"),
        ({"null_cond_emb": torch.zeros(1, 768)}, r"conditional \(null_cond_emb has shape \(1, 768\)\)"),
        ({"time_rel_pos_bias.relative_attention_bias.weight": torch.zeros(32, 0)}, "no unet3d has"),
        ({"init_temporal_attn.fn.fn.fn.rotary_emb.freqs": torch.ones(16)}, "rotary_emb.freqs of shape .* has no place"),
    ],
)  # fmt: skip
def test_another_architecture_is_refused_by_its_first_differing_tensor(state, change, reason):
    changed = {name: tensor for name, tensor in (state | change).items() if tensor is not None}
    with pytest.raises(Refused, match=reason) as refused:
        convert(changed, config_of(changed))
    assert "\n" not in str(refused.value)


def test_wider_temporal_heads_are_refused(peer):
    """Their spatial attention has heads of 32 whatever attn_dim_head says, and ours one width for all."""
    state = their_unet(peer, dim=16, dim_mults=(1, 2), attn_dim_head=64).state_dict()
    with pytest.raises(
        Refused, match=r"downs.0.2.fn.fn.to_qkv.weight has shape \(768, 16, 1, 1\); expected \(1536, 16\)"
    ):
        convert(state, config_of(state))
