import pytest
import torch
from torch import nn

from filmgrain.training import Config, optimizer

GO = torch.tensor(0.0)


def stepped(network: nn.Module, adam: torch.optim.Adam, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step(adam, 1e-2, GO)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_state_returns_bit_for_bit_whatever_the_memory_format(kind: str) -> None:
    """Moments get their parameter's strides back: fused kernels walk both by address."""
    config = Config(optimizer=kind, weight_decay=0.1)
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 4, 3)).to(memory_format=torch.channels_last))
    first, second = networks
    named = dict(first.named_parameters())
    adam = optimizer.build(config, named)
    for seed in range(3):
        stepped(first, adam, seed)
    second.load_state_dict(first.state_dict())
    saved = {key: value.detach().clone().contiguous() for key, value in optimizer.state(adam, named).items()}
    again = optimizer.build(config, dict(second.named_parameters()))
    optimizer.restore(again, dict(second.named_parameters()), saved)
    for network, own in ((first, adam), (second, again)):
        stepped(network, own, 9)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    a, b = optimizer.state(adam, named), optimizer.state(again, dict(second.named_parameters()))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) and a[key].stride() == b[key].stride() for key in a)


def test_a_fused_step_is_adam() -> None:
    """Against the equations of Kingma & Ba 2015, algorithm 1, in float64."""
    network = nn.Linear(5, 4)
    adam = optimizer.build(Config(betas=(0.9, 0.99)), dict(network.named_parameters()))
    x, m, v = network.weight.detach().double(), 0.0, 0.0
    for t in range(1, 6):
        stepped(network, adam, t)
        assert network.weight.grad is not None
        g = network.weight.grad.double()
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        x = x - 1e-2 * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
    torch.testing.assert_close(network.weight.double(), x, rtol=1e-5, atol=1e-6)


def test_only_matrices_decay() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Conv2d(2, 2, 1))
    groups = optimizer.build(Config(weight_decay=0.1), dict(network.named_parameters())).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in network.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "2.weight": 0.1, "2.bias": 0.0
    }  # fmt: skip


def test_the_learning_rate_rises_and_stays_or_falls() -> None:
    constant = Config(lr=1.0, warmup=4, steps=104)
    assert [optimizer.learning_rate(constant, step) for step in (0, 1, 3, 4, 103)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    cosine = Config(lr=1.0, warmup=4, steps=104, schedule="cosine")
    rates = [optimizer.learning_rate(cosine, step) for step in range(4, 105)]
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert rates == sorted(rates, reverse=True)
    assert optimizer.learning_rate(Config(lr=1.0, warmup=0), 0) == 1.0


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_a_step_is_skipped_also_where_the_kernel_ignores_the_flag(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernels of MPS did until the middle of 2026."""
    kernel = getattr(torch, f"_fused_{kind}_")
    monkeypatch.setattr(torch, f"_fused_{kind}_", lambda *lists, **how: kernel(*lists, **how | {"found_inf": None}))
    monkeypatch.setattr(optimizer, "reads_the_flag", lambda device: False)
    network = nn.Linear(3, 4)
    adam = optimizer.build(Config(optimizer=kind, weight_decay=0.1), dict(network.named_parameters()))
    stepped(network, adam, 0)
    before = [parameter.clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    optimizer.step(adam, 1e-2, torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    stepped(network, adam, 1)
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_only_mps_is_waited_for() -> None:
    assert [optimizer.reads_the_flag(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [True, True, False]
