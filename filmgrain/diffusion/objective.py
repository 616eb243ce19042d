"""The objective: which times are drawn, how each loss is weighed, and what of this is learned or remembered.

    L = E_{draws} weight(t) m(t) [ (w / k) |F - F*|^2 + u ]

weight is that of times.py; u is that of uncertainty.py, and 0 without it; m makes of a mean over time one over log-SNR,
where that is asked for, and is 1 otherwise.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .cond import Cond
from .draw import Draw
from .importance import LossAware
from .learned import Monotone
from .loss import diffusion_loss
from .prediction import Prediction
from .schedules import Schedule
from .stateful import built
from .times import Times
from .uncertainty import LearnedUncertainty
from .weighting import Weighting

SMALL = 0.01  # so that the schedule has no say in the norm of all gradients, which is clipped; Adam does not see it


class Objective(nn.Module):
    """Parameters and buffers are what the weighting learns and what the times remember; usually there are none."""

    def __init__(self, *, weighting: Weighting, times: Times, distance: str = "l2") -> None:
        super().__init__()
        self.weighting, self.times, self.distance = built(weighting), built(times), distance

    def forward(
        self,
        network: Callable[[Tensor, Tensor, Cond], Tensor],
        prediction: Prediction,
        schedule: Schedule,
        x0: Float[Tensor, "b *chw"],
        cond: Cond,
        draw: Draw,
    ) -> Float[Tensor, " b"]:
        """One value a sample, whose mean is minimised."""
        t, weight = self.times(draw)
        logsnr, measure = measured(schedule, self.weighting, t)
        logsnr, measure, weight = logsnr.to(x0), measure.to(x0), weight.to(x0)
        eps = draw.normal("training noise", x0)
        losses = diffusion_loss(
            network, prediction, x0, logsnr, eps, cond, weighting=self.weighting, distance=self.distance
        )
        if isinstance(self.times, LossAware):
            self.times.observe(t, (measure * losses).detach())
        if isinstance(self.weighting, LearnedUncertainty):
            losses = losses + self.weighting.u(logsnr)
        losses = weight * measure * losses
        if logsnr.requires_grad:
            learn_variance((logsnr, measure), losses)
        return losses


def measured(
    schedule: Schedule, weighting: Weighting, t: Float[Tensor, " b"]
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """logsnr(t), and m: -dlogsnr/dt for an integral over log-SNR, 1 for a mean over time.

    With a learned schedule, what would be a mean over time is one over log-SNR, evenly from end to end.
    """
    per_logsnr = getattr(weighting, "per_logsnr", False)
    if isinstance(schedule, Monotone):
        logsnr, slope = schedule.with_slope(t)
        return logsnr, -slope if per_logsnr else -slope / schedule.extent
    if per_logsnr:
        logsnr, slope = differentiated(schedule, t)
        return logsnr, -slope
    return schedule(t), torch.ones_like(t)


def differentiated(schedule: Schedule, t: Float[Tensor, " b"]) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """logsnr(t) and dlogsnr/dt of a schedule that is a smooth function; a table of steps has no slope.

    Where a schedule is cut to its range it is level: at the very ends that comes out as 0 times infinity.
    """
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        logsnr = schedule(t)
        (slope,) = torch.autograd.grad(logsnr.sum(), t)
    return logsnr.detach(), torch.where(slope.isnan(), 0, slope)


def learn_variance(outputs: tuple[Tensor, ...], losses: Float[Tensor, " b"]) -> None:
    """What lies behind `outputs`, the schedule's, is given the gradient of SMALL losses^2 in place of that of losses.

    The mean of the losses does not depend on the schedule's shape, so that this is the gradient of their variance.
    All other parameters keep the gradient of the losses (Kingma et al. 2021, appendix).
    """
    factor = SMALL * 2 * losses.detach()  # d loss^2 = 2 loss d loss, sample by sample
    for output in outputs:
        output.register_hook(lambda gradient: factor * gradient)
