"""Images behind the frames of a clip: nothing passes from one to the other, and they are denoised as they are alone."""

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.networks.unet3d import Config, Network

FRAMES, IMAGES = 3, 2
APART = torch.block_diag(torch.ones(FRAMES, FRAMES), *torch.ones(IMAGES, 1, 1)).bool()  # who sees whom
MAKES = {
    "default": {},
    "conditional": {"condition": 5},
    "paper": {"condition": 5, "condition_layers": 2, "condition_width": 24, "heads": 0, "attention": (1,)}
    | {"linear_attention": False, "full_attention": True, "level": "logsnr", "blocks": 3, "dropout": 0.1},
    "coordinates": {"coordinates": True},
    "patches": {"patch": 2, "linear_attention": False},
}


def small(**changes) -> Network:
    """Every parameter away from zero, so that whatever could leak does."""
    torch.manual_seed(0)
    network = Network(Config(**({"width": 16, "mults": (1, 2), "heads": 2, "head_width": 8} | changes))).eval()
    with torch.no_grad():
        network.out.weight.normal_(std=0.1)
        network.position.bias.weight.normal_()
    return network


def inputs(network: Network, b: int = 2) -> tuple[torch.Tensor, torch.Tensor, Cond]:
    torch.manual_seed(1)
    features = network.config.condition
    cond = Cond(vector=torch.randn(b * (1 + IMAGES), features) if features else None)
    return torch.randn(b, 3, FRAMES + IMAGES, 8, 8), torch.linspace(-2, 2, b), cond


@pytest.fixture(params=["kernel", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FILMGRAIN_KERNELS", "1" if request.param == "kernel" else "0")
    return request.param


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", MAKES)
def test_no_gradient_passes_between_an_image_and_any_other_frame(make, dtype, path):
    """|d out_i / d z_j| summed, of every pair: exactly 0 where they must not meet, and not 0 where they must."""
    network = small(**MAKES[make])
    z, logsnr, cond = inputs(network)
    z.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        out = network(z, logsnr, cond, IMAGES)
    direction = torch.randn(out.shape)
    rows = [
        torch.autograd.grad((out * direction)[0, :, i].float().sum(), z, retain_graph=True)[0]
        for i in range(FRAMES + IMAGES)
    ]
    assert not any(row[1].any() for row in rows)  # another clip's
    seen = torch.stack([row[0].abs().sum((0, 2, 3)) for row in rows])
    assert torch.equal(seen != 0, APART)


@pytest.mark.parametrize("make", MAKES)
@torch.no_grad()
def test_clip_and_images_come_out_as_they_do_alone(make, path):
    network = small(**MAKES[make])
    z, logsnr, cond = inputs(network)
    out = network(z, logsnr, cond, IMAGES)
    told = None if cond.vector is None else cond.vector.unflatten(0, (2, 1 + IMAGES))

    def alone(z: torch.Tensor, part: int) -> torch.Tensor:
        return network(z, logsnr, Cond(vector=None if told is None else told[:, part]))

    torch.testing.assert_close(out[:, :, :FRAMES], alone(z[:, :, :FRAMES], 0), atol=1e-5, rtol=1e-5)
    for k in range(IMAGES):
        torch.testing.assert_close(out[:, :, FRAMES + k], alone(z[:, :, FRAMES + k], 1 + k), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_place_of_an_image_is_of_no_matter(path):
    network = small()
    z, logsnr, cond = inputs(network)
    order = [*range(FRAMES), FRAMES + 1, FRAMES]
    torch.testing.assert_close(network(z[:, :, order], logsnr, cond, 2), network(z, logsnr, cond, 2)[:, :, order])


def test_a_norm_over_frames_is_refused():
    network = small(norm="group")
    with pytest.raises(ValueError, match=r'^norm="group" joins all frames, so images would leak .*norm="rms"$'):
        network(*inputs(network), IMAGES)
