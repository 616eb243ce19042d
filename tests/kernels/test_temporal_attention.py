"""Attention among frames by the kernel: equal to the plain path in values and gradients, whatever the sizes."""

import pytest
import torch

from filmgrain.blocks.attention import TemporalAttention, among_frames
from filmgrain.blocks.embedding import RelativePosition, rotary
from filmgrain.kernels import temporal_attention
from filmgrain.kernels.temporal_attention import usable

pytestmark = pytest.mark.usefixtures("kernels")

SIZES = [  # clips, frames, height, width, heads, features of a head
    (2, 16, 3, 3, 2, 32),
    (2, 10, 3, 3, 3, 32),
    (1, 8, 2, 5, 2, 32),
    (2, 5, 1, 1, 1, 8),
    (1, 2, 1, 3, 2, 40),
    (3, 1, 3, 1, 2, 32),
    (1, 16, 1, 1, 1, 40),
    (1, 33, 3, 3, 2, 8),
    (1, 64, 1, 1, 1, 128),
    (1, 7, 1, 2, 3, 2),
]


def arguments(clips, frames, height, width, heads, features, *, dtype=torch.float32, per_clip=False):
    """qkv, turn and bias, and a gradient of the output."""
    torch.manual_seed(0)
    qkv = torch.randn(clips * frames, height, width, 3 * heads * features).to(dtype)
    bias = torch.randn(*([clips] if per_clip else []), heads, frames, frames)
    grad = torch.randn(clips * frames, height, width, heads * features).to(dtype)
    return qkv.requires_grad_(), rotary(frames, features, qkv.device), bias.requires_grad_(), grad


def derivatives(attend, qkv, turn, bias, grad):
    out = attend(qkv, turn, bias)
    return out.detach(), *torch.autograd.grad(out, (qkv, bias), grad)


def by_kernel(qkv, turn, bias):
    """Its product with weights of 1 changes nothing."""
    assert usable(qkv, turn.cos)
    return temporal_attention.attended(qkv, turn.cos, turn.sin, bias, torch.eye(qkv.shape[-1] // 3))


@pytest.mark.parametrize("per_clip", [False, True], ids=["one bias", "a bias a clip"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_and_gradients_are_those_of_the_plain_path(sizes, per_clip):
    given = arguments(*sizes, per_clip=per_clip)
    for fast, plain in zip(derivatives(by_kernel, *given), derivatives(among_frames, *given), strict=True):
        assert fast.shape == plain.shape and fast.dtype == plain.dtype
        assert (fast - plain).abs().max() <= 1e-5 * max(1, plain.abs().max())


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_bfloat16_is_the_float32_result_rounded_once(sizes):
    qkv, turn, bias, grad = arguments(*sizes, dtype=torch.bfloat16)
    exact = derivatives(among_frames, qkv.detach().float().requires_grad_(), turn, bias, grad.float())
    for fast, plain in zip(derivatives(by_kernel, qkv, turn, bias, grad), exact, strict=True):
        assert ((fast.float() - plain).abs() <= 1e-5 + plain.abs() * 2**-8).all()


def test_a_bias_of_minus_infinity_is_a_mask():
    qkv, turn, bias, grad = arguments(2, 5, 2, 2, 2, 32)
    masked = bias.detach().masked_fill(torch.rand(2, 5, 5) < 0.5, -torch.inf)
    masked[..., range(5), range(5)] = 0
    fast, plain = (derivatives(f, qkv, turn, masked.requires_grad_(), grad) for f in (by_kernel, among_frames))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(fast, plain, strict=True))


def test_what_is_not_finite_stays_where_it_is():
    """A pixel's NaN is seen by that pixel alone, in every frame of its clip."""
    qkv, turn, bias, _ = arguments(2, 3, 2, 2, 2, 32)
    qkv.data[0, 0, 1] = torch.nan
    lost = by_kernel(qkv, turn, bias).isnan()
    assert lost[:3, 0, 1].all() and lost.sum() == lost[:3, 0, 1].numel()


def test_it_saves_little_but_its_input():
    """Its output, a third as large, is made again."""
    qkv, turn, bias, _ = arguments(1, 8, 16, 16, 2, 32)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        by_kernel(qkv, turn, bias)
    assert qkv.numel() in saved and sum(saved) < 1.05 * qkv.numel()


def test_second_derivatives_are_those_of_the_plain_path():
    qkv, turn, bias, grad = arguments(1, 3, 1, 2, 2, 8)

    def second(attend):
        first = torch.autograd.grad(attend(qkv, turn, bias), (qkv, bias), grad.requires_grad_(), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), (qkv, bias, grad))

    for fast, plain in zip(second(by_kernel), second(among_frames), strict=True):
        assert torch.allclose(fast, plain, atol=1e-4, rtol=1e-4)


def test_one_derivative_alone():
    qkv, turn, bias, _ = arguments(1, 3, 1, 2, 2, 8)
    for of, still in ((qkv, bias), (bias, qkv)):
        for create_graph in (False, True):
            still.requires_grad_(False)
            fast, plain = (
                torch.autograd.grad(f(qkv, turn, bias).square().sum(), of, create_graph=create_graph)[0]
                for f in (by_kernel, among_frames)
            )
            assert torch.allclose(fast, plain, atol=1e-4)
            still.requires_grad_(True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_bytes_do_not_depend_on_threads(dtype):
    given, threads = arguments(2, 10, 5, 7, 2, 32, dtype=dtype), torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(derivatives(by_kernel, *given))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for result in results[1:] for a, b in zip(results[0], result, strict=True))


def test_torch_finds_no_fault_with_the_operation():
    qkv, turn, bias, _ = arguments(1, 3, 1, 2, 2, 8)
    weight = torch.randn(5, 16, requires_grad=True)
    checks = "test_schema", "test_autograd_registration", "test_faketensor"  # the fourth, of compilation, takes seconds
    torch.library.opcheck(
        temporal_attention.temporal_attention, (qkv, bias[None], turn.cos, turn.sin, weight), test_utils=checks
    )


def test_what_does_not_fit_is_refused():
    qkv, turn, bias, _ = arguments(2, 4, 3, 2, 2, 32)
    for wrong in ((qkv[1:], bias), (qkv[..., 3:], bias), (qkv, bias[..., 1:]), (qkv, bias.expand(3, -1, -1, -1))):
        with pytest.raises(ValueError, match="do not fit"):
            temporal_attention.attended(wrong[0], turn.cos, turn.sin, wrong[1], torch.eye(64))


@pytest.mark.parametrize(
    "change",
    [
        lambda qkv, turn: (qkv.double(), turn),
        lambda qkv, turn: (qkv.to("meta"), turn),
        lambda qkv, turn: (qkv.transpose(1, 2), turn),
        lambda qkv, turn: (qkv[:0], turn),
        lambda qkv, turn: (qkv, rotary(65, 32, qkv.device)),
        lambda qkv, turn: (qkv, rotary(4, 130, qkv.device)),
    ],
    ids=["float64", "another device", "another order", "nothing", "many frames", "wide heads"],
)
def test_what_the_kernel_leaves_to_the_plain_path(change):
    qkv, turn, _, _ = arguments(1, 4, 3, 2, 2, 32)
    assert usable(qkv, turn.cos)
    qkv, turn = change(qkv, turn)
    assert not usable(qkv, turn.cos)


def layer_and_arguments(frames=4):
    torch.manual_seed(0)
    layer, position = TemporalAttention(8, 2, 4), RelativePosition(2)
    x = torch.randn(2 * frames, 8, 3, 2).contiguous(memory_format=torch.channels_last)
    return layer, (x, frames, rotary(frames, 4, x.device), position(frames).detach())


def test_the_layer_takes_the_kernel_where_it_can(monkeypatch):
    layer, given = layer_and_arguments()
    calls = []
    attended = temporal_attention.attended
    monkeypatch.setattr(temporal_attention, "attended", lambda *a: calls.append(a) or attended(*a))
    fast = layer(*given)
    assert len(calls) == 1 and fast.is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(temporal_attention, "usable", lambda *_: False)
    assert torch.allclose(layer(*given), fast, atol=1e-6) and len(calls) == 1


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradients_of_the_layer_are_those_without_it(plainly, dtype, frames):
    layer, given = layer_and_arguments(frames)

    def gradients():
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            y = layer(*given)
        return y, *torch.autograd.grad(y.float().square().sum(), list(layer.parameters()))

    for fast, plain in zip(gradients(), plainly(gradients), strict=True):
        bound = 1e-5 if dtype == torch.float32 else 0.02
        assert fast.dtype == plain.dtype and (fast - plain).abs().max() <= bound * plain.abs().max()


@pytest.mark.parametrize("frames", [1, 4])
def test_backward_may_run_under_autocast_where_forward_did_not(frames):
    layer, given = layer_and_arguments(frames)
    parameters = list(layer.parameters())
    expected = torch.autograd.grad(layer(*given).square().sum(), parameters)
    loss = layer(*given).square().sum()
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.autograd.grad(loss, parameters)
    assert all((a - b).abs().max() <= 0.02 * b.abs().max() for a, b in zip(found, expected, strict=True))


def test_forward_mode_and_vmap_take_the_plain_path():
    layer, (x, *context) = layer_and_arguments()
    along = torch.randn_like(x)
    _, slope = torch.func.jvp(lambda x: layer(x, *context), (x,), (along,))
    with torch.no_grad():
        steps = [layer(x + h * along, *context) for h in (1e-2, -1e-2)]
        many = torch.func.vmap(lambda x: layer(x, *context))(torch.stack([x, along]))
        assert torch.allclose(many[1], layer(along, *context), atol=1e-5)
    assert torch.allclose(slope, (steps[0] - steps[1]) / 2e-2, atol=1e-3)
