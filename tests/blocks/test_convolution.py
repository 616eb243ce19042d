"""The convolution of features from below and from across, which are never joined while training."""

import pytest
import torch
from torch import nn

from filmgrain.blocks.convolution import Conv3, of_both


@pytest.mark.parametrize("layer", [Conv3(5, 4), nn.Conv2d(5, 4, 1), nn.Identity()], ids=["3x3", "1x1", "none"])
def test_it_is_that_of_both_joined_in_values_and_gradients(layer):
    torch.manual_seed(0)
    x, across = torch.randn(2, 3, 6, 7, requires_grad=True), torch.randn(2, 2, 6, 7, requires_grad=True)
    wanted = [x, across, *layer.parameters()]
    apart, joined = of_both(layer, x, across), layer(torch.cat([x, across], dim=1))
    weights = torch.randn_like(joined)
    for one, other in zip(
        (apart, *torch.autograd.grad(apart, wanted, weights)),
        (joined, *torch.autograd.grad(joined, wanted, weights)),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-5)


def test_no_joint_copy_is_kept():
    conv, kept = Conv3(5, 4), []
    x, across = torch.randn(2, 3, 6, 7), torch.randn(2, 2, 6, 7)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        of_both(conv, x, across)
    features = [t for t in kept if t.shape[-1] == 7]
    assert {t.data_ptr() for t in features} == {x.data_ptr(), across.data_ptr()}
