"""The same weights and the same seed: the peers' losses, gradients and samples are ours, to rounding."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from filmgrain.compat import denoising_diffusion_pytorch as images
from filmgrain.compat import video_diffusion_pytorch as videos
from filmgrain.interop import Refused

STEPS = 30  # fewer than 21 bring their linear schedule to a beta of 1


def shaken(module: nn.Module) -> nn.Module:
    """No parameter at its initial value, since ones and zeros would hide a swap."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return module


def loaded(ours: nn.Module, theirs: nn.Module) -> tuple[nn.Module, nn.Module]:
    result = ours.load_state_dict(theirs.state_dict())
    assert not result.missing_keys and not result.unexpected_keys
    return theirs, ours


def video_pair(peer, *, cond_dim=None, **settings) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    unet = dict(dim=16, dim_mults=(1, 2), cond_dim=cond_dim)
    settings = dict(image_size=8, num_frames=3, timesteps=STEPS) | settings
    theirs = peer.GaussianDiffusion(shaken(peer.Unet3D(**unet)), **settings)
    return loaded(videos.GaussianDiffusion(videos.Unet3D(**unet), **settings), theirs)


def image_pair(ddp, *, unet=None, **settings) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    unet = dict(dim=16, dim_mults=(1, 2)) | (unet or {})
    settings = dict(image_size=8, timesteps=STEPS) | settings
    theirs = ddp.GaussianDiffusion(shaken(ddp.Unet(**unet)), **settings)
    return loaded(images.GaussianDiffusion(images.Unet(**unet), **settings), theirs)


def by_seed(call, pair):
    """What `call` makes of each of the two, the generator seeded alike."""
    made = []
    for diffusion in pair:
        torch.manual_seed(7)
        made.append(call(diffusion))
    return made


def assert_same_losses(pair, x, **given):
    theirs, ours = by_seed(lambda diffusion: diffusion(x, **given), pair)
    assert torch.allclose(theirs, ours, rtol=1e-5) and theirs > 0
    (theirs + ours).backward()
    first = pair[0].get_submodule("denoise_fn" if hasattr(pair[0], "denoise_fn") else "model").init_conv.weight.grad
    own = pair[1].inside.model.network.first.weight.grad
    assert torch.allclose(first.reshape(own.shape), own, rtol=1e-3, atol=1e-4 * own.abs().max().item())


def assert_same_samples(pair, **given):
    theirs, ours = by_seed(lambda diffusion: diffusion.sample(**given), pair)
    assert theirs.shape == ours.shape and (theirs - ours).abs().max() < 1e-4
    assert theirs.std() > 0.1 and ((theirs > 0.01) & (theirs < 0.99)).float().mean() > 0.1  # clipping hides nothing


@pytest.mark.parametrize("settings", [{}, {"loss_type": "l2"}, {"use_dynamic_thres": True}], ids=str)
def test_videos(peer, settings):
    pair = video_pair(peer, **settings)
    assert_same_losses(pair, torch.rand(2, 3, 3, 8, 8))
    assert_same_samples(pair, batch_size=2)


def test_videos_under_a_condition(peer):
    pair, cond = video_pair(peer, cond_dim=6), torch.randn(2, 6)
    assert torch.equal(pair[0].denoise_fn.null_cond_emb, pair[1].denoise_fn.null_cond_emb)
    assert_same_losses(pair, torch.rand(2, 3, 3, 8, 8), cond=cond)
    for cond_scale in (1.0, 2.5):
        assert_same_samples(pair, cond=cond, cond_scale=cond_scale)


@pytest.mark.parametrize("null_cond_prob", [0.5, 1.0])
def test_a_condition_is_dropped_for_the_same_samples(peer, null_cond_prob):
    pair, cond = video_pair(peer, cond_dim=6), torch.randn(6, 6)
    kept = by_seed(lambda diffusion: diffusion(torch.rand(6, 3, 3, 8, 8), cond=cond), pair)
    some = by_seed(
        lambda diffusion: diffusion(torch.rand(6, 3, 3, 8, 8), cond=cond, null_cond_prob=null_cond_prob), pair
    )
    assert torch.allclose(*some, rtol=1e-5) and not torch.allclose(some[0], kept[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "beta_schedule", "clipped"),
    list(itertools.product(images.OBJECTIVES, images.SCHEDULES, (False, True))),
)
def test_images(ddp, objective, beta_schedule, clipped):
    chain = {"sampling_timesteps": 5, "ddim_sampling_eta": 0.5} if clipped else {}
    how = {"objective": objective, "beta_schedule": beta_schedule, "min_snr_loss_weight": clipped}
    pair = image_pair(ddp, **how, **chain)
    assert_same_losses(pair, torch.rand(2, 3, 8, 8))
    assert_same_samples(pair, batch_size=2)


@pytest.mark.parametrize("unet", [{"full_attn": (True, False)}, {"attn_heads": 2, "flash_attn": True}, {"channels": 1}])
def test_images_of_other_makes(ddp, unet):
    pair = image_pair(ddp, unet=unet, image_size=(8, 16), sampling_timesteps=3, auto_normalize=False)
    x = torch.rand(2, unet.get("channels", 3), 8, 16)
    assert_same_losses(pair, x, times=torch.tensor([3, 27]))
    each = by_seed(lambda diffusion: diffusion(x, loss_reduction="none"), pair)
    assert each[0].shape == each[1].shape == (2,) and torch.allclose(*each, rtol=1e-5)
    chains = by_seed(lambda diffusion: diffusion.sample(batch_size=2, return_all_timesteps=True), pair)
    assert chains[0].shape == chains[1].shape and (chains[0] - chains[1]).abs().max() < 1e-4


def test_a_checkpoint_of_their_trainer_is_loaded(peer, tmp_path):
    theirs, ours = video_pair(peer)
    shaken(theirs)
    about = {"step": 7, "ema_model": theirs, "scaler": torch.amp.GradScaler("cpu"), "results_folder": tmp_path}
    peer.Trainer.save(SimpleNamespace(model=theirs, **about), 3)
    ours.load_state_dict(torch.load(tmp_path / "model-3.pt")["model"])
    assert_same_losses((theirs, ours), torch.rand(2, 3, 3, 8, 8))


def test_a_unet_alone_is_loaded_and_called(peer):
    theirs, ours = shaken(peer.Unet3D(dim=16, dim_mults=(1, 2))), videos.Unet3D(dim=16, dim_mults=(1, 2))
    ours.load_state_dict(theirs.state_dict())
    x, time = torch.randn(2, 3, 3, 8, 8), torch.tensor([3, 977])
    assert (theirs(x, time) - ours(x, time)).abs().max() < 1e-4


def test_another_make_is_refused(peer):
    theirs = peer.GaussianDiffusion(peer.Unet3D(dim=16, dim_mults=(1, 2)), image_size=8, num_frames=3, timesteps=STEPS)
    unet = videos.Unet3D(dim=16, dim_mults=(1, 3))
    with pytest.raises(Refused, match=r"^the state dict does not fit unet3d"):
        videos.GaussianDiffusion(unet, image_size=8, num_frames=3, timesteps=STEPS).load_state_dict(theirs.state_dict())
    with pytest.raises(ValueError, match="is of 30 steps; make GaussianDiffusion with timesteps=30"):
        videos.GaussianDiffusion(unet, image_size=8, num_frames=3, timesteps=9).load_state_dict(theirs.state_dict())
