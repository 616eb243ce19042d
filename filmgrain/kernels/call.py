"""Whether a kernel can take given tensors, and how it is called."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .build import built, library, processor

SUFFIX = {torch.float32: "float32", torch.bfloat16: "bfloat16"}  # of a kernel's functions, by the type of tensors


def constant(f: Callable[..., bool]) -> Callable[..., bool]:
    """torch.compiler.assume_constant_result, without the second that its import of torch._dynamo takes."""
    f._dynamo_marked_constant = True  # type: ignore[attr-defined]  # all that it does
    return f


def usable(kernel: str, *tensors: Tensor) -> bool:
    """Whether kernel.cpp is there, and these lie before it as it needs them: float32 or bfloat16, without gaps.

    Features in channels-last memory are given as (n, h, w, c), which has none.
    """
    for x in tensors:
        if x.device.type != "cpu" or x.dtype not in SUFFIX or not x.is_contiguous() or not x.numel():
            return False
    return not _transformed() and _present(kernel)


def call(kernel: str, function: str, dtype: torch.dtype, *arguments: Tensor | int | float | None) -> None:
    """Calls `function` of kernel.cpp for tensors of this dtype; the number of threads is added as its last argument.

    A tensor arrives as a pointer (None: a null pointer), an int as int64_t, a float as double.
    """
    of_library = getattr(built(kernel), f"{function}_{SUFFIX[dtype]}")
    of_library(*[_as_c(argument) for argument in (*arguments, torch.get_num_threads())])


def gradients(
    plain: Callable[..., Tensor], tensors: Sequence[Tensor], settings: tuple[object, ...], dy: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of plain(*tensors, *settings) that can be differentiated again; None for tensors that need none."""
    wanted = [x for x in tensors if x.requires_grad]
    with torch.enable_grad():
        found = iter(torch.autograd.grad(plain(*tensors, *settings), wanted, dy, create_graph=True))
    return tuple(next(found) if x.requires_grad else None for x in tensors)


def _as_c(argument: Tensor | int | float | None) -> ctypes.c_void_p | ctypes.c_int64 | ctypes.c_double:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, float):
        return ctypes.c_double(argument)
    return ctypes.c_void_p(None) if argument is None else ctypes.c_int64(argument)


@constant
def wide() -> bool:
    """Whether the processor has AVX-512; on others some kernels were never measured."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


@constant
def multiplies_bfloat16() -> bool:
    """Whether the processor has AVX-512 for pairs of bfloat16; with AMX, PyTorch's own products are for it."""
    return _multiplies_bfloat16()


@cache
def _multiplies_bfloat16() -> bool:
    features = processor().split()
    return b"avx512_bf16" in features and b"amx_bf16" not in features


def computed_in(x: Tensor) -> torch.dtype:
    """The type that products with x are in, on the processor."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


@constant
def _present(kernel: str) -> bool:
    return library(kernel) is not None


@constant
def _transformed() -> bool:
    """Whether torch.func or forward differentiation is at work, or an export: these know nothing of our operators."""
    transform = torch._C._functorch.peek_interpreter_stack()
    return transform is not None or forward_ad._current_level >= 0 or torch.compiler.is_exporting()
