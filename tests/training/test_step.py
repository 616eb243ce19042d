"""One optimiser step: accumulation, skipping, and what it may change."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy import Toy, batches_of

from filmgrain.training import Config
from filmgrain.training.place import Place
from filmgrain.training.step import Stepper, seed_of

PLACE = Place(torch.device("cpu"), torch.float32)


def take(count: int, size: int, **how: Any) -> list[dict[str, Any]]:
    stream = batches_of(size, **how)(0)
    return [next(stream) for _ in range(count)]


class Plain(Toy):
    """Without BatchNorm and dropout, so that a batch is the sum of its parts."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(12, 24), nn.SiLU(), nn.Linear(24, 3))


def everything(stepper: Stepper) -> dict[str, Tensor]:
    kept = {f"model/{k}": v for k, v in stepper.task.model.state_dict().items()}
    kept |= {f"ema/{k}": v for k, v in stepper.ema.averages.items()} | {"updates": stepper.ema.updates}
    for group, optimizer in stepper.optimizers.items():
        for name, parameter in stepper.groups[group].items():
            kept |= {f"{group}/{name}/{k}": v for k, v in optimizer.state[parameter].items()}
    return {name: tensor.detach().clone() for name, tensor in kept.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_micro_batches_are_one_big_batch() -> None:
    """Gradient and logged loss are the mean over all micro-batches, not those of the last."""
    big, small = (Stepper(Plain(), Config(warmup=0), PLACE) for _ in range(2))
    for number in range(3):
        one = big.step(number, take(1, 12))
        four = small.step(number, take(4, 3))
        torch.testing.assert_close(four["loss"], one["loss"])
        torch.testing.assert_close(four["first"], one["first"])
        torch.testing.assert_close(four["gradient_norm"], one["gradient_norm"])
    for a, b in zip(big.task.model.parameters(), small.task.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_micro_batch_with_nothing_to_say_leaves_the_word_to_the_others() -> None:
    class Terse(Plain):
        def loss(self, batch: Any, group: str) -> Any:
            loss, _ = super().loss(batch, group)
            return loss, {"n": batch["n"][0] if batch["n"][0] else torch.tensor(torch.nan)}

    figures = Stepper(Terse(), Config(), PLACE).step(0, take(3, 4))
    assert figures["n"] == 6 and not figures["skipped"]  # of NaN, 4 and 8


def test_a_batch_moves_without_float64_and_without_its_numbers() -> None:
    batch = {"n": torch.arange(2), "x": torch.zeros(2), "source": ["a", "b"]}
    batch |= {"rate": torch.ones(2, dtype=torch.float64), "label": torch.ones(2, dtype=torch.int64)}
    moved = Place(torch.device("meta"), torch.float32).move(batch)
    assert moved["n"] is batch["n"] and moved["source"] is batch["source"]
    assert {name: (moved[name].device.type, moved[name].dtype) for name in ("x", "rate", "label")} == {
        "x": ("meta", torch.float32), "rate": ("meta", torch.float32), "label": ("meta", torch.int64)
    }  # fmt: skip


def test_dropout_is_a_function_of_seed_and_step() -> None:
    def losses(seed: int, past: int) -> float:
        torch.manual_seed(past)
        return float(Stepper(Toy(), Config(seed=seed), PLACE).step(7, take(1, 8))["loss"])

    assert losses(0, past=1) == losses(0, past=2)
    assert losses(0, past=1) != losses(1, past=1)


def test_seeds_of_neighbours_differ_and_stay() -> None:
    seeds = {seed_of(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(0, 0) == 6956993988634818902  # else old runs would resume with another dropout


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("first", [0, 3])
def test_a_bad_step_changes_nothing(optimizer: str, first: int) -> None:
    """Weights, BatchNorm statistics, moments, step counts, EMA and its count, before or after good steps."""
    stepper = Stepper(Toy(), Config(optimizer=optimizer, weight_decay=0.1), PLACE)
    for number in range(first):
        assert stepper.step(number, take(1, 4))["skipped"] == 0
    fresh = Stepper(Toy(), Config(optimizer=optimizer, weight_decay=0.1), PLACE)
    before = everything(stepper)
    figures = stepper.step(first, take(3, 4, bad=frozenset({5})))
    assert figures["skipped"] == 1
    after = everything(stepper)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(not after[name].any() for name in after.keys() - before.keys())  # moments made, and still zero
    stepper.step(first + 1, take(1, 4))
    assert all(tensor.isfinite().all() for tensor in everything(stepper).values())
    if first == 0:
        fresh.step(first + 1, take(1, 4))
        assert same(everything(stepper), everything(fresh))


def test_an_infinite_loss_with_finite_gradients_is_bad_too() -> None:
    class Infinite(Plain):
        def loss(self, batch: Any, group: str) -> Any:
            loss, metrics = super().loss(batch, group)
            return loss + torch.inf, metrics

    stepper = Stepper(Infinite(), Config(), PLACE)
    before = everything(stepper)
    assert stepper.step(0, take(1, 4))["skipped"] == 1
    after = everything(stepper)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_gradient_is_clipped_to_its_norm() -> None:
    seen = []

    class Steep(Plain):
        def loss(self, batch: Any, group: str) -> Any:
            loss, metrics = super().loss(batch, group)
            return 1000 * loss, metrics

    stepper = Stepper(Steep(), Config(clip=0.5), PLACE)
    optimizer = stepper.optimizers["network"]
    optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([p.grad.flatten() for p in stepper.task.model.parameters()]).norm())  # type: ignore[union-attr]
    )
    norm = stepper.step(0, take(1, 8))["gradient_norm"]
    assert norm > 100
    torch.testing.assert_close(seen[0], torch.tensor(0.5))


def test_backward_runs_outside_autocast() -> None:
    inside = []

    class Watched(Plain):
        def loss(self, batch: Any, group: str) -> Any:
            loss, metrics = super().loss(batch, group)
            inside.append(torch.is_autocast_enabled("cpu"))
            loss.register_hook(lambda grad: inside.append(torch.is_autocast_enabled("cpu")))
            return loss, metrics

    Stepper(Watched(), Config(), Place(torch.device("cpu"), torch.bfloat16)).step(0, take(1, 4))
    assert inside == [True, False]


class Adversaries(Toy):
    """Two groups with losses of their own, as a GAN has."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"maker": nn.Linear(12, 3), "judge": nn.Linear(3, 1)})

    def groups(self) -> dict[str, dict[str, nn.Parameter]]:
        named = dict(self.model.named_parameters())
        return {g: {name: p for name, p in named.items() if name.startswith(g)} for g in ("maker", "judge")}

    def loss(self, batch: Any, group: str) -> Any:
        made = self.model["maker"](batch["x"])
        score = self.model["judge"](made if group == "maker" else made.detach())
        return score.square().mean() if group == "maker" else (score - 1).square().mean(), {}


def test_each_group_moves_by_its_own_loss_alone() -> None:
    task = Adversaries()
    stepper = Stepper(task, Config(warmup=0, clip=0), PLACE)
    seen = {}
    for group, optimizer in stepper.optimizers.items():
        parameters = stepper.groups[group]

        def look(*_: Any, group: str = group, parameters: dict[str, nn.Parameter] = parameters) -> None:
            seen[group] = [p.grad.clone() for p in parameters.values()]  # type: ignore[union-attr]
            task.model.zero_grad()
            loss, _metrics = task.loss(batch, group)
            seen[f"{group} alone"] = list(torch.autograd.grad(loss, list(parameters.values())))

        optimizer.register_step_pre_hook(look)
    (batch,) = take(1, 4)
    figures = stepper.step(0, [batch])
    assert {"maker/loss", "judge/loss"} <= figures.keys()
    for group in ("maker", "judge"):
        torch.testing.assert_close(seen[group], seen[f"{group} alone"])
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_a_foreign_parameter_is_refused() -> None:
    class Foreign(Plain):
        def groups(self) -> dict[str, dict[str, nn.Parameter]]:
            return {"network": {"elsewhere": nn.Parameter(torch.zeros(1))}}

    with pytest.raises(ValueError, match="'elsewhere', which is no parameter"):
        Stepper(Foreign(), Config(), PLACE)
