"""vector.h against PyTorch, a number at a time."""

import ctypes
import shutil

import pytest
import torch

from filmgrain.kernels import build

SOURCE = """
#include "vector.h"
extern "C" void exponentials(const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = exponential(x[i]);
}
extern "C" void slopes(const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = silu_slope(x[i]);
}
extern "C" void rounded(const float *x, bfloat16 *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) store(y + i, load(x[i]));
}
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory, kernels: None) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("vector")
    with pytest.MonkeyPatch.context() as patched:
        shutil.copy(build.SOURCES / "vector.h", folder)
        (folder / "numbers.cpp").write_text(SOURCE)
        patched.setattr(build, "SOURCES", folder)
        patched.setenv("XDG_CACHE_HOME", str(folder))
        library = build.built.__wrapped__("numbers")
    assert library is not None
    return library


def applied(function, x: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    y = torch.empty_like(x, dtype=dtype)
    function(ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr()), ctypes.c_int64(len(x)))
    return y


def test_the_exponential(functions):
    x = torch.linspace(-87.3, 88.3, 100_001)
    y = applied(functions.exponentials, x)
    assert ((y - x.double().exp()) / x.double().exp()).abs().max() < 2.5e-7
    odd = applied(functions.exponentials, torch.tensor([0.0, -0.0, -88.0, -torch.inf, 100.0, torch.inf, torch.nan]))
    assert odd[:4].tolist() == [1, 1, 0, 0] and (odd[4:6] > 2e38).all() and odd[6].isnan()


def test_the_slope_of_silu(functions):
    x = torch.linspace(-100, 100, 10_001)
    wide = x.double().requires_grad_()
    (slope,) = torch.autograd.grad(torch.nn.functional.silu(wide).sum(), wide)
    assert (applied(functions.slopes, x) - slope).abs().max() < 1e-6


def test_bfloat16_is_rounded_as_pytorch_rounds(functions):
    torch.manual_seed(0)
    anything = torch.randint(-(2**31), 2**31, (100_000,), dtype=torch.int64).to(torch.int32).view(torch.float32)
    ties = (torch.randint(0, 2**15, (1000,), dtype=torch.int32) << 16 | 0x8000).view(torch.float32)
    x = torch.cat([anything, ties, torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, -0.0, 3.4e38])])
    ours, theirs = applied(functions.rounded, x, torch.bfloat16), x.bfloat16()
    real = ~x.isnan()
    assert torch.equal(ours.view(torch.int16)[real], theirs.view(torch.int16)[real]) and ours[~real].isnan().all()
