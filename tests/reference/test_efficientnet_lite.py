"""Our EfficientNet-Lite0 against the package that its weights were made for: the same features to the bit."""

import pytest
import torch
import torch.nn.functional as F

from filmgrain.evaluate.features import efficientnet_lite0

lite = pytest.importorskip("efficientnet_lite_pytorch", reason="not installed, see tests/reference.txt")


def test_features():
    ours = efficientnet_lite0.load()
    theirs = lite.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(ours.network.state_dict(), strict=False)  # but for its last layer, and counts of batches
    images = torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    resized = F.interpolate(images.float(), (224, 224), mode="bilinear", align_corners=False, antialias=True)
    with torch.no_grad():
        expected = theirs.extract_features((resized - 127) / 128).mean((2, 3))
    assert torch.equal(ours(images), expected.double())
