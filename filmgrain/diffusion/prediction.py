"""What the network's output F means. One row per parameterisation: the regression target F*, x0 recovered from F,
and k, the factor between their errors, |F - F*|^2 = k |x0 - x0_hat|^2.

(a, s) = (alpha, sigma); z = a x0 + s eps; l = logsnr. docs/mathematics.md derives each row.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (x0, eps, a, s) -> F*
    to_x0: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (F, z, a, s)    -> x0
    k: Callable[[Tensor], Tensor]  # logsnr -> |F - F*|^2 / |x0 - x0_hat|^2


# ruff: noqa: E501, E741
# fmt: off
#                   F* = target(x0, eps)                    x0 = to_x0(F, z)                       k(l)
EPS  = Prediction(lambda x0, eps, a, s: eps,              lambda F, z, a, s: (z - s * F) / a,        lambda l: l.exp())                  # Ho et al. 2020
X0   = Prediction(lambda x0, eps, a, s: x0,               lambda F, z, a, s: F,                      lambda l: l * 0 + 1)
V    = Prediction(lambda x0, eps, a, s: a * eps - s * x0, lambda F, z, a, s: a * z - s * F,          lambda l: 1 + l.exp())              # Salimans & Ho 2022
FLOW = Prediction(lambda x0, eps, a, s: eps - x0,         lambda F, z, a, s: (z - s * F) / (a + s),  lambda l: (1 + (l / 2).exp()) ** 2)  # Lipman et al. 2022
# fmt: on

PREDICTIONS = {"eps": EPS, "x0": X0, "v": V, "flow": FLOW}
