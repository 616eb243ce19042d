"""What a GaussianDiffusion is inside, and what it does by torch's global generator.

Scripts seed that by torch.manual_seed, and it is asked in the order in which the peers ask it: the same weights and the
same seed give their losses and their samples. The rest of the house counts its draws instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..autoencoders import pixels
from ..diffusion.cond import Cond
from ..diffusion.denoiser import Denoiser
from ..diffusion.loss import diffusion_loss
from ..diffusion.tables import Discrete
from ..generate.sampling import Config as Sampling
from ..model import Config as Process
from ..model import DiffusionModel
from ..rooms import find
from ..samplers import Step
from ..tasks.diffusion import Config as Task


@dataclass(frozen=True)
class Inside:
    """No nn.Module, so that the network is registered once, in the Unet that the script made."""

    model: DiffusionModel
    task: Task
    sampling: Sampling

    @classmethod
    def of(
        cls, network: nn.Module, shape: tuple[int, ...], process: Process, task: Task, sampling: Sampling
    ) -> "Inside":
        sampling.grid_of(process.schedule)  # refuses more steps than there are
        return cls(DiffusionModel(network, pixels.Codec(pixels.Config()), process, shape), task, sampling)

    def losses(
        self,
        x0: Float[Tensor, "b *chw"],
        cond: Callable[[], Cond],
        *,
        step: Int[Tensor, " b"] | None = None,
        noise: Float[Tensor, "b *chw"] | None = None,
    ) -> Float[Tensor, " b"]:
        """One value a sample, at steps 0 ... T - 1 of the table; drawn is what is not given, and at last in `cond`."""
        model, task = self.model, self.task
        if x0.shape[1:] != model.shape:
            raise ValueError(f"x has shape {tuple(x0.shape)}; expected (b, {', '.join(map(str, model.shape))})")
        assert isinstance(model.schedule, Discrete)
        step = torch.randint(0, model.config.steps, (len(x0),), device=x0.device) if step is None else step
        noise = torch.randn_like(x0) if noise is None else noise
        logsnr = model.schedule.table.to(x0)[step]
        return diffusion_loss(
            model.raw, model.prediction, x0, logsnr, noise, cond(), weighting=task.weighting, distance=task.distance
        )

    def noise(self, count: int) -> Float[Tensor, "count *chw"]:
        """What samples begin as."""
        return torch.randn(count, *self.model.shape, device=next(self.model.parameters()).device)

    @torch.no_grad()
    def walk(self, denoiser: Denoiser, z: Float[Tensor, "b *chw"], cond: Cond) -> Iterator[Step]:
        """Every step of the sampler from the noise z, without dropout."""
        network, sampling = self.model.network, self.sampling
        levels, was_training = sampling.grid_of(self.model.schedule), network.training
        network.eval()

        def noise(step: int, like: Tensor) -> Tensor:  # randn_like would fill the memory in its order, channels last
            return torch.randn(like.shape, device=like.device)

        try:
            yield from find("samplers", sampling.sampler).sample(
                denoiser, z, levels, cond, noise=noise, **sampling.options
            )
        finally:
            network.train(was_training)
