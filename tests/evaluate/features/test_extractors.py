"""Extractors: their layouts, what they make of pictures, and which files they refuse."""

import importlib.util
import json
import random

import pytest
import torch
import torch.nn.functional as F

from filmgrain.evaluate import features
from filmgrain.evaluate.features import Extractor, efficientnet_lite0, inception, small28
from filmgrain.files import tensors
from filmgrain.interop import Refused


def pictures(count, height=20, width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def random_weights(network, *extra, seed=0):
    """Weights that keep features near 1, with norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, place in [*network.state_dict().items(), *extra]:
        noise = torch.randn(place.shape, generator=generator)
        if name.endswith("running_mean"):  # files have a count beside it, which is not read
            state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
        if place.ndim == 4:
            state[name] = noise * (2 / place[0].numel()) ** 0.5
        else:
            state[name] = 0.1 * noise + (1.0 if name.endswith(("weight", "var")) else 0.0)
    return state


def inception_state(classes):
    with torch.device("meta"):
        network = inception.Inception(inception.POOLINGS[classes])
        extra = [("fc.weight", torch.empty(classes, 2048)), ("fc.bias", torch.empty(classes))]
        extra += [("AuxLogits.fc.weight", torch.empty(1000, 768))] if classes == 1000 else []
    return random_weights(network, *extra)


@pytest.fixture(scope="module")
def fid_state():
    return inception_state(1008)


def test_inception_has_the_layout_of_the_checkpoints(fid_state):
    """Parameters without the last layer, and some of the 1008-class checkpoint's shapes."""
    counted = {name: t for name, t in fid_state.items() if not name.endswith(("mean", "var", "tracked"))}
    assert sum(t.numel() for t in counted.values()) == 21_785_568 + 1008 * 2049  # torchvision's own count, and fc
    shapes = {name: tuple(t.shape) for name, t in fid_state.items()}
    assert shapes["Mixed_5b.branch5x5_2.conv.weight"] == (64, 48, 5, 5)
    assert shapes["Mixed_6a.branch3x3.conv.weight"] == (384, 288, 3, 3)
    assert shapes["Mixed_6e.branch7x7dbl_5.conv.weight"] == (192, 192, 1, 7)
    assert shapes["Mixed_7a.branch7x7x3_4.conv.weight"] == (192, 192, 3, 3)
    assert shapes["Mixed_7c.branch3x3dbl_3b.conv.weight"] == (384, 384, 3, 1)
    assert shapes["Mixed_7c.branch_pool.bn.running_var"] == (192,)
    assert len(shapes) == 94 * 6 + 2  # convolutions with their norms


def test_inception_of_a_file(fid_state, tmp_path):
    """A .pth and a safetensors file of the same weights are one extractor; it makes 2048 features, each as alone."""
    torch.save(fid_state, tmp_path / "weights.pth")
    tensors.save(tmp_path / "weights.safetensors", fid_state)
    one, other = (inception.load(file=tmp_path / f"weights.{end}") for end in ("pth", "safetensors"))
    assert one.sha256 == other.sha256 and one.name == f"inception-{one.sha256[:4]}"
    assert not one.fid  # random weights are not those of FID
    x = pictures(2)
    found = one(x)
    assert found.shape == (2, 2048) and found.dtype == torch.float64 and found.isfinite().all()
    assert (found >= 0).all() and found.std() > 0.01
    assert torch.allclose(found[1:], other(x[1:]), atol=1e-5)
    assert torch.equal(found, one(x)) and not one.network.training


def test_the_two_layouts_of_inception_pool_differently(fid_state, tmp_path):
    tensors.save(tmp_path / "fid.safetensors", fid_state)
    state = inception_state(1000)
    tensors.save(tmp_path / "torchvision.safetensors", state | {k: v for k, v in fid_state.items() if k[:2] != "fc"})
    one, other = (inception.load(file=tmp_path / f"{name}.safetensors") for name in ("fid", "torchvision"))
    assert one.sha256 == other.sha256  # of what features are made from
    x = pictures(1)
    assert not torch.allclose(one(x), other(x), rtol=0.01)


def test_a_file_known_by_its_hash_is_fid(fid_state, tmp_path, monkeypatch):
    tensors.save(tmp_path / "a.safetensors", fid_state)
    monkeypatch.setattr(inception, "FID", "")  # every hash begins so
    assert inception.load(file=tmp_path / "a.safetensors").fid


REFUSED = {
    "missing": (
        lambda s: s.pop("Mixed_6b.branch7x7_2.bn.bias"),
        "Mixed_6b.branch7x7_2.bn.bias is missing; expected (128,)",
    ),
    "shape": (
        lambda s: s.update({"Conv2d_3b_1x1.conv.weight": torch.zeros(80, 32, 1, 1)}),
        "Conv2d_3b_1x1.conv.weight has shape (80, 32, 1, 1); expected (80, 64, 1, 1)",
    ),
    "more": (
        lambda s: s.update({"Mixed_8a.conv.weight": torch.zeros(3)}),
        "Mixed_8a.conv.weight of shape (3,) has no place",
    ),
    "nan": (lambda s: s["Mixed_7c.branch1x1.bn.weight"].fill_(torch.nan), "Mixed_7c.branch1x1.bn.weight"),
    "classes": (lambda s: s.update({"fc.weight": torch.zeros(10, 2048)}), "fc.weight has shape (10, 2048)"),
    "another": (lambda s: s.clear() or s.update({"a": torch.zeros(1)}), "fc.weight is missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_another_network_is_refused(name, fid_state, tmp_path):
    spoil, says = REFUSED[name]
    state = {key: t.clone() for key, t in fid_state.items()}
    spoil(state)
    tensors.save(tmp_path / "x.safetensors", state)
    with pytest.raises(Refused) as refused:
        inception.load(file=tmp_path / "x.safetensors")
    assert says in str(refused.value) and str(tmp_path / "x.safetensors") in str(refused.value)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    with pytest.raises(Refused, match="is not a file"):
        inception.load(file=tmp_path / "none.pth")
    with pytest.raises(tensors.Malformed, match="no such regular file"):
        inception.load(file=tmp_path / "none.safetensors")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(Refused, match="other things than tensors"):
        inception.load(file=tmp_path / "list.pth")
    with pytest.raises(ValueError, match="give --extractor-file"):
        inception.load()


def lite0(tmp_path):
    with torch.device("meta"):
        network = efficientnet_lite0.EfficientNetLite0()
        extra = [("_fc.weight", torch.empty(1000, 1280)), ("_fc.bias", torch.empty(1000))]
    state = random_weights(network, *extra)
    tensors.save(tmp_path / "lite0.safetensors", state)
    return efficientnet_lite0.load(file=tmp_path / "lite0.safetensors"), state


def test_efficientnet_lite0(tmp_path):
    """Its count of parameters is that of the package's weights; it makes 1280 features, each as alone."""
    extractor, state = lite0(tmp_path)
    parameters = sum(t.numel() for name, t in state.items() if not name.endswith(("mean", "var", "tracked")))
    assert parameters == 4_652_008 and len(state) == 296
    x = pictures(3)
    found = extractor(x)
    assert found.shape == (3, 1280) and found.isfinite().all() and found.std() > 1e-3
    assert torch.allclose(found[2:], extractor(x[2:]), atol=1e-5)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 8), (3, 2, 8), (5, 1, 8), (5, 2, 8), (1, 1, 8)])
def test_padding_is_that_of_tensorflow(kernel, stride, size):
    """SAME: ceil(size / stride) out, and of an odd total the greater part after."""
    conv = efficientnet_lite0.Conv(1, 1, kernel, stride=stride)
    x, out = torch.randn(1, 1, size, size), -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    padded = F.pad(x, [total // 2, total - total // 2] * 2)
    assert conv(x).shape[-2:] == (out, out)
    assert torch.allclose(conv(x), F.conv2d(padded, conv.weight, stride=stride))


def test_without_its_package_efficientnet_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install \"filmgrain\[features\]\""):
        efficientnet_lite0.load()
    with pytest.raises(ValueError, match="trained already"):
        efficientnet_lite0.load(data=Stripes())


@pytest.mark.skipif(not importlib.util.find_spec(efficientnet_lite0.PACKAGE), reason="needs the extra features")
def test_the_packages_weights_fit():
    extractor = efficientnet_lite0.load()
    assert extractor.name == "efficientnet_lite0-6bd7" and extractor(pictures(1)).shape == (1, 1280)


class Stripes:
    """Pictures of stripes, across or down, of which the classifier must tell the direction."""

    def __init__(self, count=200, side=28, labels=True, frames=0):
        self.count, self.side, self.labels, self.frames = count, side, labels, frames

    def __len__(self):
        return self.count

    def item(self, index, rng: random.Random):
        generator = torch.Generator().manual_seed(index)
        row = (torch.rand(self.side // 4, generator=generator) * 255).repeat_interleave(4)
        x = row.expand(self.side, -1) if index % 2 else row[:, None].expand(-1, self.side)
        x = x.to(torch.uint8).contiguous()[None].numpy()
        x = x[:, None].repeat(self.frames, axis=1) if self.frames else x
        return {"x": x, "source": "stripes", **({"label": index % 2} if self.labels else {})}


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(small28, "TRAINING", small28.Config(steps=30, batch=32))
    return tmp_path / "cache" / "filmgrain" / "extractors"


def test_small28_learns_and_is_kept(quick, monkeypatch):
    told = []
    one = small28.load(data=Stripes(), called="My Stripes", progress=lambda *done: told.append(done))
    assert told[-1] == (30, 30)
    assert one.name == f"small28-my-stripes-{one.sha256[:4]}" and one.size == 128
    assert "2 classes" in one.about and "of 20 unseen pictures right" in one.about
    assert float(one.about.split(", ")[-1].split("%")[0]) >= 95
    (kept,) = quick.iterdir()
    monkeypatch.setattr(small28, "train", None)  # not called again
    again, read = small28.load(data=Stripes(), called="My Stripes"), small28.load(file=kept)
    assert one.sha256 == again.sha256 == read.sha256 and one.name == read.name and one.about == read.about
    x = pictures(5, 40, 30)
    assert torch.equal(one(x), read(x)) and one(x).shape == (5, 128)
    assert torch.allclose(one(x)[:1], one(x[:1]), atol=1e-6)


def test_small28_is_a_function_of_data_and_settings(quick, monkeypatch):
    names = [small28.load(data=Stripes(count)).name for count in (200, 220)]
    state = torch.get_rng_state()
    one, other = (small28.train(small28.Labelled.of(Stripes()), small28.TRAINING)[0].state_dict() for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())  # nobody else's dice
    assert all(torch.equal(one[name], other[name]) for name in one)
    monkeypatch.setattr(small28, "TRAINING", small28.Config(steps=31, batch=32))
    names.append(small28.load(data=Stripes()).name)
    assert len(set(names)) == 3 and len(list(quick.iterdir())) == 3


def test_small28_of_clips_takes_a_frame_of_each(quick):
    assert small28.load(data=Stripes(frames=3)).sha256 == small28.load(data=Stripes()).sha256


@pytest.mark.parametrize("data", [Stripes(labels=False), Stripes(count=60)])
def test_small28_needs_labels(quick, data):
    with pytest.raises(ValueError, match="small28 learns from labelled pictures") as error:
        small28.load(data=data)
    assert "\n" not in str(error.value) and not quick.exists()


def test_small28_needs_data_or_a_file(tmp_path):
    with pytest.raises(ValueError, match="give --train-on or --extractor-file"):
        small28.load()
    tensors.save(tmp_path / "other.safetensors", {"a": torch.zeros(2)})
    with pytest.raises(Refused, match=r"convs.0.weight is missing; expected \(32, 1, 3, 3\)"):
        small28.load(file=tmp_path / "other.safetensors")
    tensors.save(tmp_path / "old.safetensors", {"a": torch.zeros(2)}, {"version": "0"})
    with pytest.raises(Refused, match="is of small28 0, and this is 1; train it again"):
        small28.load(file=tmp_path / "old.safetensors")


def test_a_picture_of_28_pixels_is_taken_as_it_is():
    x = pictures(2, 28, 28)[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(small28.small(x), x[:, 0])
    assert small28.small(pictures(2, 56, 14)).shape == (2, 28, 28)


def test_every_extractor_has_the_slot():
    from filmgrain.rooms import find, names

    assert names("evaluate.features") == ["clips32", "efficientnet_lite0", "i3d", "inception", "small28"]
    for name in names("evaluate.features"):
        assert callable(find("evaluate.features", name).load)


def test_the_hash_is_of_values_and_names():
    def extractor(**weights):
        network = torch.nn.Module()
        for name, value in weights.items():
            network.register_buffer(name, torch.tensor(value))
        return Extractor(network=network, kind="x", size=1, resize="none")

    hashes = {extractor(**w).sha256 for w in ({"a": [1.0]}, {"a": [1.5]}, {"b": [1.0]}, {"a": [[1.0]]}, {"a": [1.0]})}
    assert len(hashes) == 4 and json.dumps(sorted(hashes))
    assert features.DIGITS == 4
