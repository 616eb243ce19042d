"""The training objective: E_{t, eps} w(logsnr) |x0 - x0_hat|^2, computed on the network's own output F.

    L = (w / k) d(F(z), F*),   z = alpha x0 + sigma eps,   k of prediction.py

d is the squared error (the equation holds), or the absolute or Huber error of F instead (Ho et al. 2020 use the square,
Ho et al. 2022's re-implementations the absolute value).
"""

from collections.abc import Callable

import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor

from .cond import Cond
from .prediction import Prediction
from .process import alpha_sigma
from .weighting import Weighting

DISTANCES: dict[str, Callable[..., Tensor]] = {"l2": nnf.mse_loss, "l1": nnf.l1_loss, "huber": nnf.smooth_l1_loss}


def diffusion_loss(
    network: Callable[[Tensor, Tensor, Cond], Tensor],
    prediction: Prediction,
    x0: Float[Tensor, "b *chw"],
    logsnr: Float[Tensor, " b"],
    eps: Float[Tensor, "b *chw"],
    cond: Cond,
    *,
    weighting: Weighting,
    distance: str = "l2",
) -> Float[Tensor, " b"]:
    """One value a sample: the mean over its elements, so that a loss does not grow with the picture."""
    a, s = alpha_sigma(logsnr, x0)
    F = network(a * x0 + s * eps, logsnr, cond).float()
    error = DISTANCES[distance](F, prediction.target(x0, eps, a, s), reduction="none").flatten(1).mean(1)
    return weighting(logsnr, prediction) / prediction.k(logsnr) * error
