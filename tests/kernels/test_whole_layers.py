"""Kernels of whole attention layers, both products inside: the same numbers as layer by layer, whatever the sizes."""

import pytest
import torch

from filmgrain.blocks.attention import LinearSpatialAttention, TemporalAttention
from filmgrain.blocks.embedding import RelativePosition, rotary
from filmgrain.blocks.layout import nhwc
from filmgrain.kernels import build, call, linear_attention, panels, temporal_attention

pytestmark = pytest.mark.usefixtures("kernels")
multiplies_bfloat16 = call._multiplies_bfloat16.__wrapped__  # without its memory
# channels, heads, features of a head, frames, height, width: parts of panels and of tiles, one of them and many
SIZES = [
    (32, 2, 32, 2, 1, 1),
    (64, 8, 32, 10, 9, 7),
    (96, 4, 8, 3, 8, 8),
    (32, 1, 64, 16, 3, 5),
    (128, 2, 48, 5, 4, 33),
]


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch):
    """As on processors on which they are used: what they compute is the same on others."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(call, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(linear_attention, "FEWEST", 2)


def temporal(channels, heads, width, frames, height, columns, clips=2):
    """A layer, and all that it is called with."""
    torch.manual_seed(0)
    layer, position = TemporalAttention(channels, heads, width), RelativePosition(heads)
    x = torch.randn(clips * frames, channels, height, columns).contiguous(memory_format=torch.channels_last)
    return layer, (x, frames, rotary(frames, width, x.device), position(frames).detach())


def linear(channels, heads, width, frames, height, columns):
    torch.manual_seed(0)
    layer = LinearSpatialAttention(channels, heads, width)
    return layer, (torch.randn(frames, channels, height, columns).contiguous(memory_format=torch.channels_last),)


@pytest.mark.parametrize("made", [temporal, linear])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_is_the_plain_path(made, sizes, plainly, called):
    layer, given = made(*sizes)
    plain = plainly(layer, *given).detach()  # with gradients, so not by these
    with torch.no_grad():
        fast = layer(*given)
    assert called == [f"{made.__name__}_layer"]
    assert fast.shape == plain.shape and (fast - plain).abs().max() < 1e-5 * plain.abs().max()


def distances(layer, given, plainly):
    """From the outputs in float32, over the largest: of those in bfloat16 by this kernel, and layer by layer."""
    exact = plainly(layer, *given)
    with torch.autocast("cpu", torch.bfloat16):
        fast, plain = layer(*given), plainly(layer, *given)
    assert fast.dtype == plain.dtype == torch.bfloat16
    return [((x.float() - exact).abs().max() / exact.abs().max()).item() for x in (fast, plain)]


@pytest.mark.parametrize("made", [temporal, linear])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@torch.no_grad()
def test_in_bfloat16_it_is_nearer_to_float32_than_the_plain_path(made, sizes, plainly, called):
    """Queries, keys, values and all sums stay in float32."""
    of_fast, of_plain = distances(*made(*sizes), plainly)
    assert called[-1] == f"{made.__name__}_layer"
    assert of_fast < 1e-2 and of_fast < 1.1 * of_plain


@pytest.mark.parametrize("made", [temporal, linear])
@torch.no_grad()
def test_weights_may_be_in_bfloat16_too(made, called):
    """As those of a model that is only sampled from."""
    layer, given = made(64, 2, 32, 4, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        before = layer(*given)
        assert torch.equal(layer.to(torch.bfloat16)(*given), before)
    assert called == 2 * [f"{made.__name__}_layer"]


@pytest.mark.parametrize("made", [temporal, linear])
@torch.no_grad()
def test_processors_that_do_not_multiply_pairs_find_the_same(made, monkeypatch, plainly, called):
    if b"avx512_bf16" not in build.processor().split():
        pytest.skip("this one is such a processor")
    monkeypatch.setattr(build, "FLAGS", [*build.FLAGS, "-mno-avx512bf16"])
    library = build.built.__wrapped__(f"{made.__name__}_attention")
    assert library is not None
    monkeypatch.setattr(call, "built", lambda name: library)
    of_fast, of_plain = distances(*made(64, 8, 32, 10, 9, 7), plainly)
    assert called[-1] == f"{made.__name__}_layer" and of_fast < 1.1 * of_plain


@pytest.mark.parametrize("made", [temporal, linear])
@torch.no_grad()
def test_no_number_depends_on_threads(made, called):
    layer, given = made(64, 2, 32, 4, 20, 21)
    before, threads = layer(*given), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(layer(*given), before)
    finally:
        torch.set_num_threads(threads)
    assert called == 2 * [f"{made.__name__}_layer"]


@torch.no_grad()
def test_they_are_compiled_into_one_graph(called):
    layer, (x, _, turn, bias) = temporal(32, 2, 32, 4, 3, 3)
    x, *weights = nhwc(x), layer.qkv.weight, layer.out.weight

    def f(x):
        if linear_attention.whole_usable(x, *weights):
            x = linear_attention.whole(x, *weights, torch.zeros(32), 2)
        if temporal_attention.whole_usable(x, *weights, turn.cos):
            x = temporal_attention.whole(x, *weights, bias, turn.cos, turn.sin)
        return x

    y = torch.compile(f, backend="aot_eager", fullgraph=True)(x)
    assert called == ["linear_layer", "temporal_layer"] and torch.equal(y, f(x))


@torch.no_grad()
def test_in_bfloat16_they_are_compiled_as_they_are_used(monkeypatch):
    """With the real question of what the processor can do."""
    monkeypatch.undo()
    layer, (x,) = linear(32, 2, 32, 8, 3, 3)
    x, *weights = nhwc(x), layer.qkv.weight, layer.out.weight

    def f(x):
        return linear_attention.whole(x, *weights, layer.out.bias, 2) if panels.usable(x, *weights) else x + 1

    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torch.compile(f, backend="aot_eager", fullgraph=True)(x), f(x))


@torch.no_grad()
def test_clips_may_have_a_bias_each():
    layer, (x, _, turn, bias) = temporal(32, 2, 32, 4, 3, 3)
    each, weights = torch.stack([bias, torch.randn_like(bias)]), (layer.qkv.weight, layer.out.weight)

    def whole(x, bias):
        return temporal_attention.whole(nhwc(x), *weights, bias, turn.cos, turn.sin)

    assert torch.equal(whole(x, each), torch.cat([whole(x[:4], each[0]), whole(x[4:], each[1])]))


def test_they_are_for_inference_of_one_type_with_weights_that_fit(monkeypatch):
    layer, (x, _, turn, _) = temporal(32, 2, 32, 4, 3, 3)
    given = nhwc(x), layer.qkv.weight, layer.out.weight
    assert not temporal_attention.whole_usable(*given, turn.cos)  # gradients are wanted
    with torch.no_grad():
        assert temporal_attention.whole_usable(*given, turn.cos) and linear_attention.whole_usable(*given)
        assert not temporal_attention.whole_usable(*given, turn.cos[:1])
        assert not linear_attention.whole_usable(given[0][:1], *given[1:])  # a frame is one thread's
        assert not panels.usable(given[0], *(w.bfloat16() for w in given[1:]))
        assert not panels.usable(given[0], torch.zeros(3 * 512, 512), torch.zeros(512, 512))
        assert panels.usable(*(t.bfloat16() for t in given))
        with torch.autocast("cpu", torch.bfloat16):
            assert panels.usable(*given)
            monkeypatch.setattr(call, "multiplies_bfloat16", lambda: False)
            assert not panels.usable(*given)
        with torch.autocast("cpu", torch.float16):
            assert not panels.usable(*given)


def test_of_a_processor_that_says_nothing_nothing_is_expected(monkeypatch, tmp_path):
    """As on other systems than Linux."""
    monkeypatch.setattr(build, "ABOUT", tmp_path / "missing")
    assert build.processor() == b"" and not multiplies_bfloat16()
    for features, fast in (("avx512_bf16", True), ("avx512f", False), ("avx512_bf16 amx_bf16", False)):
        (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {features} sse\n")
        monkeypatch.setattr(build, "ABOUT", tmp_path / "cpuinfo")
        assert multiplies_bfloat16() == fast


@torch.no_grad()
def test_the_operators_keep_their_promises_to_torch():
    layer, (x, _, turn, bias) = temporal(32, 2, 32, 4, 3, 3)
    given = nhwc(x), layer.qkv.weight, layer.out.weight
    for operator in (
        (temporal_attention.layer, (*given, bias[None], turn.cos, turn.sin)),
        (linear_attention.layer, (*given, torch.zeros(32), 2)),
    ):
        torch.library.opcheck(*operator, test_utils=("test_schema", "test_faketensor"))


@torch.no_grad()
def test_a_mistake_is_one_line():
    layer, (x, *_) = temporal(32, 2, 32, 4, 3, 3)
    with pytest.raises(ValueError, match=r"weights .* do not fit x .*; pass \(3 e, c\)"):
        linear_attention.whole(nhwc(x), layer.qkv.weight[:, :16], layer.out.weight, torch.zeros(32), 2)
