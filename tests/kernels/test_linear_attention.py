"""The kernel of linear attention: equal to the plain path in values and gradients; the same bytes by any threads."""

import pytest
import torch
from torch.autograd import forward_ad

from filmgrain.blocks.attention import LinearSpatialAttention, attend_linearly
from filmgrain.kernels import linear_attention

pytestmark = pytest.mark.usefixtures("kernels")

SIZES = [  # frames, height, width, heads, features of a head
    (1, 1, 1, 1, 1),
    (2, 3, 3, 3, 7),
    (5, 8, 9, 2, 32),
    (1, 4, 16, 1, 32),
    (1, 16, 17, 1, 40),
    (2, 5, 13, 2, 128),
]


def drawn(frames, height, width, heads, d, dtype=torch.float32, spread=1.0):
    torch.manual_seed(0)
    qkv = (torch.randn(frames, height, width, 3 * heads * d) * spread).to(dtype).requires_grad_()
    return qkv, torch.randn(frames, height, width, heads * d).to(dtype)


def attend(qkv, heads):
    """By the kernel if it can be; its product with weights of 1 changes nothing."""
    if not linear_attention.usable(qkv):
        return attend_linearly(qkv, heads)
    features = qkv.shape[-1] // 3
    return linear_attention.attended(qkv, heads, torch.eye(features), torch.zeros(features))


def computed(qkv, g, heads):
    """Values and gradient; in float64 by the plain path."""
    assert linear_attention.usable(qkv) == (qkv.dtype != torch.float64)
    out = attend(qkv, heads)
    return out.detach(), torch.autograd.grad(out, qkv, g)[0]


def exact(qkv, g, heads):
    return computed(qkv.detach().double().requires_grad_(), g.double(), heads)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("spread", [1.0, 40.0])  # of 40, weights are of very different sizes, and maxima far from 0
def test_it_equals_the_plain_path(sizes, spread):
    qkv, g = drawn(*sizes, spread=spread)
    (out, dqkv), (true, true_dqkv) = computed(qkv, g, sizes[3]), exact(qkv, g, sizes[3])
    assert torch.allclose(out.double(), true, rtol=1e-5, atol=1e-5)
    assert torch.allclose(dqkv.double(), true_dqkv, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_in_bfloat16_only_what_comes_out_is_rounded(sizes):
    qkv, g = drawn(*sizes, dtype=torch.bfloat16)
    (out, dqkv), (true, true_dqkv) = computed(qkv, g, sizes[3]), exact(qkv, g, sizes[3])
    assert out.dtype == dqkv.dtype == torch.bfloat16
    assert torch.allclose(out.double(), true, rtol=2**-8, atol=1e-6)
    assert torch.allclose(dqkv.double(), true_dqkv, rtol=2**-8, atol=1e-6)


def test_weights_kept_for_a_smaller_maximum_shrink_when_a_larger_one_comes():
    qkv, g = drawn(1, 10, 20, 2, 32)
    rising = qkv.detach() + torch.linspace(-300, 300, 200).reshape(1, 10, 20, 1)  # 200 pixels are four tiles
    (out, dqkv), (true, true_dqkv) = computed(rising.requires_grad_(), g, 2), exact(rising, g, 2)
    assert torch.allclose(out.double(), true, rtol=1e-4)
    assert torch.allclose(dqkv.double(), true_dqkv, rtol=1e-3, atol=1e-4)  # v is up to 300


def test_second_derivatives_are_those_of_the_plain_path():
    qkv, g = drawn(2, 3, 5, 2, 8)

    def twice(x, g):
        (first,) = torch.autograd.grad(attend(x, 2).tanh(), x, g, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    assert torch.allclose(twice(qkv, g).double(), twice(qkv.detach().double().requires_grad_(), g.double()), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 5])
def test_the_bytes_do_not_depend_on_threads_or_on_other_frames(frames):
    qkv, g = drawn(frames, 9, 9, 3, 32)
    one = computed(qkv, g, 3)
    try:
        for threads in (2, 3):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(one, computed(qkv, g, 3), strict=True))
    finally:
        torch.set_num_threads(1)
    alone = computed(qkv[-1:].detach().requires_grad_(), g[-1:], 3)
    assert all(torch.equal(a[-1:], b) for a, b in zip(one, alone, strict=True))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["q", "k", "v"])
def test_nan_comes_out_where_it_came_in(part):
    qkv, _ = drawn(2, 8, 9, 3, 32)
    spoilt = qkv.detach().clone()
    spoilt[1, 4, 4, part * 96 + 40] = torch.nan  # of the second head
    spread = torch.eye(96).double()  # NaN times 0 is NaN
    found, expected = attend(spoilt, 3).isnan(), (attend(spoilt.double(), 3) @ spread).isnan()
    assert expected.any() and torch.equal(found, expected)


def test_it_saves_little_but_its_input():
    """Its output, a third as large, is made again."""
    qkv, _ = drawn(1, 32, 32, 2, 32)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        attend(qkv, 2)
    assert qkv.numel() in saved and sum(saved) < 1.05 * qkv.numel()


def test_what_it_cannot_take_goes_by_the_plain_path(monkeypatch):
    qkv, _ = drawn(2, 3, 3, 2, 8)
    out, x = attend(qkv, 2), qkv.detach()
    assert not linear_attention.usable(x.transpose(1, 2))
    assert torch.allclose(attend(x.transpose(1, 2), 2).transpose(1, 2), out, atol=1e-6)
    each = torch.func.vmap(lambda x: attend(x, 2), in_dims=1, out_dims=1)(x.unsqueeze(1))
    assert torch.allclose(each.squeeze(1), out, atol=1e-6)
    with forward_ad.dual_level():
        dual = attend(forward_ad.make_dual(x, torch.ones_like(x)), 2)
        assert forward_ad.unpack_dual(dual).tangent is not None
    monkeypatch.setenv("FILMGRAIN_KERNELS", "0")
    assert not linear_attention.usable(x) and torch.allclose(attend(x, 2), out, atol=1e-6)


def test_as_an_operator_it_is_sound():
    qkv, _ = drawn(2, 3, 3, 2, 8)
    given = qkv, 2, torch.randn(5, 16, requires_grad=True), torch.randn(5, requires_grad=True)
    checks = "test_schema", "test_autograd_registration", "test_faketensor"
    torch.library.opcheck(torch.ops.filmgrain.linear_attention.default, given, test_utils=checks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_is_the_same_with_it_and_without(monkeypatch, dtype):
    torch.manual_seed(0)
    layer, x = LinearSpatialAttention(12, 2, 32), torch.randn(3, 12, 6, 7).to(memory_format=torch.channels_last)
    results = []
    for kernels in ("1", "0"):
        monkeypatch.setenv("FILMGRAIN_KERNELS", kernels)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = layer(x)
        names = [type(node).__name__ for node in walked(out.grad_fn)]
        assert any("filmgrain" in name for name in names) == (kernels == "1")
        results.append([out, *torch.autograd.grad(out.float().square().sum(), list(layer.parameters()))])
    for mine, plain in zip(*results, strict=True):
        scale = plain.float().abs().max().item()
        assert torch.allclose(mine.float(), plain.float(), atol=scale * (1e-6 if dtype == torch.float32 else 0.02))


@pytest.mark.parametrize("lower", [torch.bfloat16, torch.float16])
def test_backward_may_run_under_autocast_where_forward_did_not(lower):
    torch.manual_seed(0)
    layer, x = LinearSpatialAttention(12, 2, 32), torch.randn(3, 12, 6, 7).to(memory_format=torch.channels_last)
    parameters = list(layer.parameters())
    expected = torch.autograd.grad(layer(x).square().sum(), parameters)
    loss = layer(x).square().sum()
    with torch.autocast("cpu", lower):
        found = torch.autograd.grad(loss, parameters)
    assert all((a - b).abs().max() <= 0.02 * b.abs().max() for a, b in zip(found, expected, strict=True))


def walked(node):
    """Every function of a graph, from its end to its leaves."""
    yield node
    for following, _ in node.next_functions:
        if following is not None:
            yield from walked(following)
