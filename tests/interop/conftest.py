import sys
from types import ModuleType, SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def peer():
    """The module video_diffusion_pytorch.video_diffusion_pytorch.

    It imports torchvision (for reading GIFs, which no test does); a stub takes its place, and goes again at the end.
    """
    pytest.importorskip("einops_exts", reason="the reference packages are not installed: tests/reference.txt")
    pytest.importorskip(
        "rotary_embedding_torch", reason="the reference packages are not installed: tests/reference.txt"
    )
    before = dict(sys.modules)
    torchvision = ModuleType("torchvision")
    torchvision.transforms = SimpleNamespace(ToTensor=lambda: None)
    torchvision.utils = SimpleNamespace()
    sys.modules["torchvision"] = torchvision
    try:
        package = pytest.importorskip("video_diffusion_pytorch", reason="not installed: see tests/reference.txt")
        yield sys.modules[f"{package.__name__}.video_diffusion_pytorch"]
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in ("torchvision", "video_diffusion_pytorch")]:
            del sys.modules[name]
        sys.modules |= {name: module for name, module in before.items() if name.split(".")[0] == "torchvision"}
