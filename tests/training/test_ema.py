import pytest
import torch
from torch import nn

from filmgrain.training.ema import EMA

GO, SKIP = torch.tensor(0.0), torch.tensor(1.0)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def shift(network: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += by


def test_the_average_follows_its_equation() -> None:
    network = model()
    ema = EMA(dict(network.named_parameters()), 0.8)
    expected = {name: p.detach().double().clone() for name, p in network.named_parameters()}
    for n in range(60):
        shift(network, 0.1)
        ema.update(GO)
        d = min(0.8, (1 + n) / (10 + n))
        for name, p in network.named_parameters():
            expected[name] = d * expected[name] + (1 - d) * p.detach().double()
    assert ema.updates == 60
    for name, average in ema.averages.items():
        torch.testing.assert_close(average.double(), expected[name], rtol=1e-5, atol=1e-5)


def test_a_decay_of_zero_is_the_last_weights() -> None:
    network = model()
    ema = EMA(dict(network.named_parameters()), 0.0)
    shift(network, 0.3)
    ema.update(GO)
    assert all(torch.equal(ema.averages[name], p) for name, p in network.named_parameters())


def test_a_skipped_update_changes_nothing() -> None:
    network = model()
    ema = EMA(dict(network.named_parameters()), 0.9)
    shift(network, 1.0)
    ema.update(GO)
    before = {name: average.clone() for name, average in ema.averages.items()}
    ema.update(SKIP)
    assert ema.updates == 1
    assert all(torch.equal(before[name], average) for name, average in ema.averages.items())


def test_buffers_are_left_alone() -> None:
    network = model()
    network(torch.randn(8, 3))
    ema = EMA(dict(network.named_parameters()), 0.9)
    assert ema.averages.keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}
    buffers = [buffer.clone() for buffer in network.buffers()]
    with ema.swapped():
        assert all(torch.equal(a, b) for a, b in zip(buffers, network.buffers(), strict=True))


@pytest.mark.parametrize("fails", [False, True])
def test_swapping_restores_bit_for_bit(fails: bool) -> None:
    """Also where the work inside fails, or writes into the weights."""
    network = model()
    with torch.no_grad():
        network[0].weight[0] = torch.tensor([-0.0, 1e-45, torch.nan])  # type: ignore[index]
    ema = EMA(dict(network.named_parameters()), 0.5)
    shift(network, 1.0)
    ema.update(GO)
    own = [p.detach().clone().view(torch.int32) for p in network.parameters()]
    averages = {name: average.clone().view(torch.int32) for name, average in ema.averages.items()}
    try:
        with ema.swapped():
            for name, p in network.named_parameters():
                assert torch.equal(p.detach().view(torch.int32), averages[name])
            shift(network, 5.0)
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert all(torch.equal(a, p.detach().view(torch.int32)) for a, p in zip(own, network.parameters(), strict=True))
    assert all(torch.equal(averages[name], average.view(torch.int32)) for name, average in ema.averages.items())
