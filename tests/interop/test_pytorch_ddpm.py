"""Checkpoints of pytorch-ddpm, held against the formulas of its network by its own names (tests/networks)."""

import sys
from pathlib import Path

import pytest
import torch

from filmgrain.diffusion.cond import Cond
from filmgrain.diffusion.tables import LinearBeta
from filmgrain.interop import Refused, torch_file
from filmgrain.interop.pytorch_ddpm import config_of, convert, read, their_name
from filmgrain.networks.ddpm_unet import Config, Network

sys.path.insert(0, str(Path(__file__).parents[1] / "networks"))
from test_ddpm_unet import Reference, make, on_meta, theirs

MAKES = {
    "two levels": {"mults": (1, 2)},
    "three levels, attention at two": {"mults": (1, 2, 2), "attention": (0, 2), "blocks": 1},
    "one level, no attention, grey": {"mults": (2,), "attention": (), "channels": 1},
    "a short table": {"mults": (1, 2), "table": 20},
}


def their_state(**settings) -> dict[str, torch.Tensor]:
    """Tensors by the public names; none of them as new ones are."""
    network = make(width=32, groups=32, **settings)
    return {name: tensor.clone() for name, tensor in theirs(network.state_dict()).items()}


@torch.no_grad()
def assert_same_outputs(state, network):
    z, step = torch.randn(2, network.config.channels, 8, 12), torch.tensor([0, network.config.table - 1])
    expected = Reference(state, 32)(z, step, None)
    assert expected.std() > 0.1
    assert (network.eval()(z, step, Cond()) - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("settings", MAKES.values(), ids=MAKES)
def test_same_weights_same_outputs(settings):
    state = their_state(**settings)
    network = Network(config_of(state))
    network.load_state_dict(convert(state, network.config))
    assert network.config == Config(width=32, **settings)
    assert_same_outputs(state, network)


def test_names_of_the_published_network():
    names = [name for name in on_meta(Config()).state_dict()]
    assert {their_name(name) for name in names} == set(theirs(on_meta(Config()).state_dict()))


@pytest.mark.parametrize("mults", [(1, 2, 2, 2), (1, 2, 2, 1)])
def test_the_published_networks_are_told_from_their_shapes(mults):
    assert config_of(theirs(on_meta(Config(mults=mults)).state_dict())) == Config(mults=mults)


def test_reads_what_their_trainer_saves(tmp_path):
    raw = their_state(mults=(1, 2))
    averaged = {name: tensor if "timembedding.0" in name else 0.9 * tensor for name, tensor in raw.items()}
    path = tmp_path / "ckpt.pt"
    contents = {"net_model": raw, "ema_model": averaged, "step": 700, "x_T": torch.randn(4, 3, 8, 8)}
    contents["optim"] = {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]}
    torch.save(contents | {"sched": {"base_lrs": [2e-4], "last_epoch": 700, "lr_lambdas": [None]}}, path)
    found = read(path, size=8)
    assert (found.step, found.shape) == (700, (3, 8, 8))
    assert (found.model_config.prediction, found.model_config.schedule) == ("eps", LinearBeta(scale=False))
    for state, ours in ((raw, found.model_state), (averaged, found.ema_state)):
        network = Network(found.network_config)
        assert not network.load_state_dict(ours, strict=False).unexpected_keys
        assert_same_outputs(state, network)
    assert set(found.ema_state) == {name for name, _ in network.named_parameters()}


@pytest.fixture
def holds(monkeypatch):
    """Sets what every .pt file holds, so that no process need be started to read one."""
    return lambda contents: monkeypatch.setattr(torch_file, "load", lambda path: contents)


def test_a_state_dict_alone_will_do(holds):
    holds(their_state(mults=(1, 2)))
    found = read(Path("ema.pt"))
    assert (found.step, found.shape) == (0, (3, 32, 32))
    assert all(torch.equal(tensor, found.model_state[name]) for name, tensor in found.ema_state.items())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"head.weight": torch.zeros(32, 3, 5, 5)}, r"head.weight has shape \(32, 3, 5, 5\); expected \(32, 3, 3, 3\)"),
        ({"tail.2.bias": torch.zeros(6)}, r"tail.2.bias has shape \(6,\); expected \(3,\)"),
        ({"middleblocks.0.attn.proj.bias": None}, "middleblocks.0.attn.proj.bias is missing; expected"),
        ({"downblocks.1.cond_proj.weight": torch.zeros(3)}, r"downblocks.1.cond_proj.weight of shape \(3,\) has no pl"),
        ({"tail.2.bias": torch.full((3,), torch.nan)}, "tail.2.bias .* other than finite numbers"),
        ({"head.weight": torch.zeros(0, 3, 3, 3)}, "no ddpm_unet has"),
        ({"head.weight": None}, "0 of its tensors are named head.weight"),
        ({"time_embedding.timembedding.0.weight": None}, "time_embedding.timembedding.0.weight is missing; expected 2"),
        ({"mid_attn.mem_kv": torch.zeros(1)}, "has no place"),
    ],
)
def test_another_architecture_is_refused_by_its_first_differing_tensor(holds, change, reason):
    changed = {name: tensor for name, tensor in (their_state(mults=(1, 2)) | change).items() if tensor is not None}
    holds({"net_model": changed})
    with pytest.raises(Refused, match=reason) as refused:
        read(Path("ckpt.pt"))
    assert "\n" not in str(refused.value) and str(refused.value).startswith("ckpt.pt ")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("model.mid_attn.mem_kv", "denoising-diffusion-pytorch"),
        ("denoise_fn.time_rel_pos_bias.relative_attention_bias.weight", "video-diffusion-pytorch"),
        ("time_embedding.linear_1.weight", "diffusers"),
        ("time_embed.0.weight", "guided-diffusion"),
    ],
)
def test_another_known_architecture_is_named(holds, name, other):
    holds({name: torch.zeros(2), "head.weight": torch.zeros(2)})
    with pytest.raises(Refused, match=f"x.pt is not of pytorch-ddpm but of {other}, by the names of its tensors"):
        read(Path("x.pt"))
