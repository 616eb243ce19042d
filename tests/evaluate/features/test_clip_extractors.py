"""Extractors of clips: I3D's layout and files, and what the one that is trained here sees and does not see."""

import pytest
import torch

from filmgrain.data.moving_shapes import Config, Dataset
from filmgrain.evaluate import measures
from filmgrain.evaluate.distances import frechet
from filmgrain.evaluate.features import NOT_FVD, clips32, i3d, small28
from filmgrain.evaluate.pictures import of_data, whole
from filmgrain.files import tensors
from filmgrain.interop import Refused


def network_of_i3d():
    with torch.device("meta"):
        return i3d.I3D()


def test_i3d_has_the_layout_of_the_checkpoints():
    """pytorch-i3d's own count, with 400 classes; and some of its tensors."""
    network = network_of_i3d()
    assert sum(p.numel() for p in network.parameters()) == 12_697_264
    shapes = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    assert len(shapes) == 344 - 57  # theirs, less the counts of batches
    assert shapes["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert shapes["Mixed_4f.b1b.conv3d.weight"] == (320, 160, 3, 3, 3)
    assert shapes["Mixed_5c.b3b.bn.running_var"] == (128,)
    assert shapes["logits.conv3d.weight"] == (400, 1024, 1, 1, 1)


@pytest.fixture(scope="module")
def i3d_file(tmp_path_factory):
    """Random weights, which keep features near 1, with the counts that their files have beside them."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, place in network_of_i3d().state_dict().items():
        noise = torch.randn(place.shape, generator=generator)
        if place.ndim == 5:
            state[name] = noise * (2 / place[0].numel()) ** 0.5
        else:
            state[name] = 0.1 * noise + (1.0 if name.endswith(("weight", "var")) else 0.0)
        if name.endswith("running_mean"):
            state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
    path = tmp_path_factory.mktemp("i3d") / "rgb_imagenet.pt"
    torch.save(state, path)
    return path


def test_i3d_of_a_file(i3d_file, tmp_path):
    """A state dict is read without running it, safetensors as well; features are of what moves how."""
    extractor = i3d.load(file=i3d_file)
    assert (extractor.clips, extractor.size, extractor.frames) == (True, 400, 9) and not extractor.fid
    clips = torch.randint(0, 256, (1, 3, 9, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    features = extractor(torch.cat([clips, clips.flip(2)]))
    assert features.shape == (2, 400) and not torch.allclose(features[0], features[1], atol=0.01)
    tensors.save(tmp_path / "i3d.safetensors", extractor.network.state_dict())
    again = i3d.load(file=tmp_path / "i3d.safetensors")
    assert again.name == extractor.name and torch.allclose(again(clips), features[:1], atol=1e-5)


def test_files_that_are_no_i3d(i3d_file, tmp_path):
    with pytest.raises(ValueError, match="give --extractor-file"):
        i3d.load()
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "i3d_torchscript.pt")
    with pytest.raises(Refused, match="TorchScript archive, a program"):
        i3d.load(file=tmp_path / "i3d_torchscript.pt")
    tensors.save(tmp_path / "a.safetensors", {"Conv3d_1a_7x7.conv3d.weight": torch.zeros(64, 3, 7, 7, 7)})
    with pytest.raises(Refused, match=r"Conv3d_1a_7x7\.bn\.weight is missing"):
        i3d.load(file=tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def trained():
    return clips32.load()


def test_clips32_lies_in_the_package_and_says_what_it_is(trained):
    assert trained.clips and trained.size == 64 and trained.comparable == NOT_FVD
    assert trained.name == "clips32-b335"  # numbers of another name have nothing to say to those of this one
    assert "of 300 unseen clips right in kind 85.7%, colour 100.0%, motion 78.3%" in trained.about
    data = clips32.Labelled.of(Dataset(Config(frames=16, height=32, width=32, seed=5)), 60)
    shares = [float(word.rstrip("%,")) for word in clips32.told(trained.network, data).split() if "%" in word]
    assert all(share > 65 for share in shares) and len(shares) == 3
    with pytest.raises(ValueError, match="leave --train-on out"):
        clips32.load(data=Dataset(Config()))


def test_clips32_can_be_made_anew():
    told = []
    network, about = clips32.train(
        clips32.Config(clips=100, unseen=20, steps=30, batch=16, lr=8e-3), lambda *done: told.append(done)
    )
    assert told[-1] == (30, 30) and about.startswith("of 20 unseen clips right in kind")
    fresh = clips32.Clips32().state_dict()
    assert all(not torch.equal(value, fresh[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("shape", [(2, 8, 8), (5, 40, 24), (16, 32, 32)], ids=str)
def test_clips32_takes_clips_of_any_size(trained, shape):
    clips = torch.zeros(3, 3, *shape, dtype=torch.uint8)
    assert trained(clips).shape == (3, 64)
    assert clips32.small(clips).shape == (3, shape[0], 3, 32, 32)


def clips_of(seed, count=200, frames=8):
    data = Dataset(Config(frames=frames, height=32, width=32, seed=seed, clips=count))
    return torch.cat([*of_data(data, range(count), 0, whole)])


def spoilt(clips):
    """From the best to the worst."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(clips.shape[2], generator=generator) for _ in clips]
    return {
        "real": clips,
        "shuffled": torch.stack([clip[:, order] for clip, order in zip(clips, orders, strict=True)]),
        "frozen": clips[:, :, :1].expand_as(clips),
        "noise": torch.randint(0, 256, clips.shape, dtype=torch.uint8, generator=generator),
    }


def test_clips32_ranks_what_is_spoilt(trained):
    """Features of time: the frames of a shuffled clip are all real, and those of a frozen one too."""
    reference = trained(clips_of(1))
    found = {name: frechet(trained(clips), reference) for name, clips in spoilt(clips_of(2)).items()}
    assert list(found) == sorted(found, key=found.get), found
    assert found["shuffled"] > 2 * found["real"] and found["noise"] > 3 * found["frozen"]


def test_frozen_clips_fool_the_frame_distance_and_not_that_of_clips(trained, monkeypatch):
    """A frame of each, drawn at random, is as good as any; frames of clips that do not move are real frames."""
    monkeypatch.setattr(small28, "TRAINING", small28.Config(steps=30, batch=64))
    network, _ = small28.train(
        small28.Labelled.of(Dataset(Config(frames=2, height=32, width=32, clips=300))), small28.TRAINING
    )
    config = measures.Config(measures=("kid",), halves=20)
    frames, clips = {}, {}
    for name, made in {"reference": clips_of(1), "real": clips_of(2), "frozen": spoilt(clips_of(2))["frozen"]}.items():
        drawn = torch.stack([clip[:, n % 8] for n, clip in enumerate(made)])
        with torch.no_grad():
            frames[name] = measures.Cloud(network(drawn).double(), "")
        clips[name] = measures.Cloud(trained(made), "")
    for name, fooled in (("real", True), ("frozen", False)):
        assert measures.measure(frames[name], frames["reference"], config)["kid"].interval[0] < 0
        assert (measures.measure(clips[name], clips["reference"], config)["kid"].interval[0] < 0) is fooled
