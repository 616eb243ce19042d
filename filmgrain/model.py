"""DiffusionModel: what is trained, saved, loaded and sampled. It is a Denoiser."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .autoencoders import Codec
from .conditioning import Conditioner
from .diffusion.cond import Cond
from .diffusion.draw import Draw
from .diffusion.prediction import PREDICTIONS
from .diffusion.process import alpha_sigma
from .diffusion.schedules import SCHEDULES, Cosine, Schedule
from .diffusion.stateful import built
from .diffusion.steps import OnSteps
from .diffusion.tables import Discrete


@dataclass(frozen=True, kw_only=True)
class Config:
    """How data becomes noise, and what the network predicts of it."""

    prediction: str = "v"  # of the network: "eps", "x0", "v" or "flow"
    schedule: Schedule = field(default_factory=Cosine, metadata={"choices": SCHEDULES})  # time to log-SNR

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise ValueError(f'prediction="{self.prediction}" is unknown; use one of {", ".join(PREDICTIONS)}')
        if self.prediction == "eps" and getattr(self.schedule, "zero_terminal_snr", False):
            raise ValueError(
                'prediction="eps" with zero_terminal_snr=true: the eps of pure noise tells nothing of x0; use "v"'
            )

    @property
    def discrete(self) -> bool:
        """Whether the schedule is a table of steps, which a network that takes integer steps needs."""
        return isinstance(self.schedule, Discrete)

    @property
    def steps(self) -> int:
        """T of a schedule of steps; 0 for one of continuous time."""
        return len(self.schedule.table) if isinstance(self.schedule, Discrete) else 0


class DiffusionModel(nn.Module):
    """network + prediction + schedule + conditioners + codec.

    `shape` is that of one x without the batch, (c, f, h, w) or (c, h, w): what is sampled when nothing else is asked.
    """

    codec: Codec
    schedule: Schedule

    def __init__(
        self,
        network: nn.Module,
        codec: Codec,
        config: Config,
        shape: tuple[int, ...],
        conditioners: Mapping[str, nn.Module] | None = None,
    ):
        super().__init__()
        self.network = network
        self.codec = codec
        self.prediction = PREDICTIONS[config.prediction]
        self.schedule = built(config.schedule)
        self.config = config
        self.shape = shape
        self.precision = torch.float32  # that `lowered` changes
        self.conditioners = nn.ModuleDict(conditioners)
        self.objective: nn.Module | None = None  # of the task that trains this; not there once it is loaded to sample
        if getattr(network, "takes_steps", False) and not config.discrete:
            kind = type(config.schedule).__name__
            raise ValueError(
                f"the network takes integer steps, which {kind} has not; use the schedule linear_beta or another table"
            )

    @property
    def conditions(self) -> list[Conditioner]:
        return list(self.conditioners.values())  # type: ignore[arg-type]  # modules that keep to the protocol

    def levels(self) -> list[list[nn.Module]]:
        """The blocks of each level of the network, the finest first; none of a network that does not name them."""
        named: Callable[[], list[list[nn.Module]]] = getattr(self.network, "levels", list)
        return named()

    def null(self, count: int) -> Cond:
        """The condition of `count` samples of which nothing is said; empty for an unconditional model."""
        return self._joined(conditioner.null(count) for conditioner in self.conditions)

    def condition(self, batch: dict[str, Any], draw: Draw, *, drop: bool = False) -> Cond:
        """What a batch says: of each conditioner whose key it has, and of the others their null.

        drop: leave out what training leaves out, of each condition on its own.
        """
        count = len(draw.n)
        return self._joined(self._of(conditioner, batch, draw, count, drop) for conditioner in self.conditions)

    def _of(self, conditioner: Conditioner, batch: dict[str, Any], draw: Draw, count: int, drop: bool) -> Cond:
        if conditioner.key not in batch:
            return conditioner.null(count)
        given = conditioner(batch, draw, self.codec)
        if not drop or not conditioner.drop:
            return given
        keep = draw.uniform(f"keep {conditioner.key}") >= conditioner.drop
        null = conditioner.null(count)
        return given.drop(null, keep.to(next(self.parameters()).device))

    @staticmethod
    def _joined(conds: Iterable[Cond]) -> Cond:
        return reduce(or_, conds, Cond())

    def lowered(self, dtype: torch.dtype) -> "DiffusionModel":
        """This model, to sample from: its network computes in `dtype` from now on, where autocast would have it.

        The weights of its products are kept in it, so that no call casts them again.
        """
        if dtype != torch.float32:
            for module in self.network.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                    module.to(dtype)
        self.precision = dtype
        return self

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """None of its own in float32, where whoever trains decides."""
        return nullcontext() if self.precision == torch.float32 else torch.autocast(device.type, self.precision)

    def raw(
        self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond, images: int = 0
    ) -> Float[Tensor, "b *chw"]:
        """F, the network's own output. images: of the frames, how many at the end are images, docs/decisions/021."""
        network = partial(self.network, images=images) if images else self.network
        with self._autocast(z.device):
            if getattr(self.network, "takes_steps", False) and isinstance(self.schedule, Discrete):
                nearest = getattr(self.network, "step_lookup", "") == "nearest"
                return OnSteps(network, self.schedule.table, nearest)(z, logsnr, cond)
            return network(z, logsnr, cond)

    def forward(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        """x0_hat, in float32 whatever the network runs in."""
        F = self.raw(z, logsnr, cond).float()
        return self.prediction.to_x0(F, z, *alpha_sigma(logsnr, z))
