"""Fixtures: the modules of other packages that interop/ and compat/ are held against."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest

REASON = "the reference packages are not installed: tests/reference.txt"
STUBS = {  # what the peers import for reading files, training on several devices and measuring, which no test does
    "torchvision": {"transforms": SimpleNamespace(ToTensor=lambda: None), "utils": SimpleNamespace()},
    "accelerate": {"Accelerator": None},
    "scipy": {},
    "scipy.optimize": {"linear_sum_assignment": None},
}


@contextmanager
def stubs() -> Iterator[None]:
    """Inside, the names of STUBS import; behind, all is as before, since other packages ask what is installed."""

    def theirs() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] in STUBS}

    before = theirs()
    for name, contents in STUBS.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(contents)
    try:
        yield
    finally:
        for name in theirs():
            del sys.modules[name]
        sys.modules.update(before)


def imported(name: str, *needs: str) -> ModuleType:
    """The module of a peer in which all is."""
    for package in needs:
        pytest.importorskip(package, reason=REASON)
    with stubs():
        pytest.importorskip(name, reason=REASON)
        return importlib.import_module(f"{name}.{name}")


@pytest.fixture(scope="session")
def peer() -> ModuleType:
    """The module video_diffusion_pytorch.video_diffusion_pytorch."""
    return imported("video_diffusion_pytorch", "einops_exts", "rotary_embedding_torch")


@pytest.fixture(scope="session")
def ddp() -> ModuleType:
    """The module denoising_diffusion_pytorch.denoising_diffusion_pytorch."""
    return imported("denoising_diffusion_pytorch", "ema_pytorch")
