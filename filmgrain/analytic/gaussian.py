"""Gaussian data: the denoiser, the probability flow, the density and every conditional in closed form."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.process import alpha, sigma


@dataclass(frozen=True, eq=False)
class Gaussian:
    """x0 ~ N(mean, covariance). With covariance = V diag(e) V^T, z is N(alpha mean, V diag(alpha^2 e + sigma^2) V^T).

    E[x0 | z] = mean + V diag(alpha e / (alpha^2 e + sigma^2)) V^T (z - alpha mean)
    """

    mean: Float[Tensor, " n"]
    covariance: Float[Tensor, "n n"]  # symmetric, no eigenvalue below 0

    def __post_init__(self) -> None:
        n = self.mean.numel()
        if self.mean.shape != (n,) or self.covariance.shape != (n, n):
            given = f"mean {tuple(self.mean.shape)} and covariance {tuple(self.covariance.shape)}"
            raise ValueError(f"{given} do not go together; use (n,) and (n, n)")

    @classmethod
    def isotropic(cls, n: int, mean: float = 0.0, std: float = 1.0) -> "Gaussian":
        """n independent numbers; float64."""
        return cls(torch.full((n,), mean, dtype=torch.float64), std**2 * torch.eye(n, dtype=torch.float64))

    @classmethod
    def ar1(cls, frames: int, rho: float) -> "Gaussian":
        """A video of one pixel: x_{i+1} = rho x_i + sqrt(1 - rho^2) eps, so covariance rho^|i - j|; float64."""
        if not -1 < rho < 1:
            raise ValueError(f"rho={rho} is no correlation of neighbouring frames; use a number between -1 and 1")
        i = torch.arange(frames, dtype=torch.float64)
        apart = (i[:, None] - i).abs()
        return cls(torch.zeros(frames, dtype=torch.float64), torch.tensor(rho, dtype=torch.float64) ** apart)

    @cached_property
    def spectrum(self) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
        """The eigenvalues e and the eigenvectors V (columns), found once, in float64."""
        values, vectors = torch.linalg.eigh(self.covariance.double())
        return values.clamp(min=0), vectors

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        e, vectors = (part.to(z) for part in self.spectrum)
        a, s = alpha(logsnr.to(z))[:, None], sigma(logsnr.to(z))[:, None]
        mean = self.mean.to(z)
        along = (z.flatten(1) - a * mean) @ vectors
        return (mean + a * e / (a**2 * e + s**2) * along @ vectors.T).reshape(z.shape)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count n"]:
        """`count` samples of x0, in the dtype of the mean."""
        e, vectors = self.spectrum
        noise = torch.randn(count, len(e), generator=generator, dtype=torch.float64)
        return (self.mean + (noise * e.sqrt()) @ vectors.T).to(self.mean.dtype)

    def marginal(self, logsnr: float | Tensor) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
        """The mean and the covariance of z at a level."""
        level = torch.as_tensor(logsnr, dtype=self.mean.dtype)
        noise = sigma(level) ** 2 * torch.eye(len(self.mean), dtype=self.mean.dtype)
        return alpha(level) * self.mean, alpha(level) ** 2 * self.covariance + noise

    def flow(self, z: Float[Tensor, "b *chw"], t: float | Tensor, s: float | Tensor) -> Float[Tensor, "b *chw"]:
        """Where the probability flow takes z from the level t to the level s, +inf (the data) included.

        Along each eigenvector the distance from the mean grows as the marginal's deviation does.
        """
        e, vectors = (part.to(z) for part in self.spectrum)
        t, s = torch.as_tensor(t).to(z), torch.as_tensor(s).to(z)
        growth = ((alpha(s) ** 2 * e + sigma(s) ** 2) / (alpha(t) ** 2 * e + sigma(t) ** 2)).sqrt()
        mean = self.mean.to(z)
        along = (z.flatten(1) - alpha(t) * mean) @ vectors
        return (alpha(s) * mean + growth * along @ vectors.T).reshape(z.shape)

    def log_density(self, z: Float[Tensor, "b *chw"], logsnr: float | Tensor = math.inf) -> Float[Tensor, " b"]:
        """log p(z) at a level, in nats; of x0 itself by default."""
        e, vectors = (part.to(z) for part in self.spectrum)
        level = torch.as_tensor(logsnr).to(z)
        variance = alpha(level) ** 2 * e + sigma(level) ** 2
        along = (z.flatten(1) - alpha(level) * self.mean.to(z)) @ vectors
        return -0.5 * (along**2 / variance + (2 * math.pi * variance).log()).sum(1)

    def conditional(self, mask: Bool[Tensor, " n"], values: Float[Tensor, " known"]) -> "Gaussian":
        """The unknown part where the part under the mask is known: N(m_b + S_ba S_aa^-1 (values - m_a), Schur)."""
        if mask.shape != self.mean.shape or values.shape != (int(mask.sum()),):
            raise ValueError(f"mask {tuple(mask.shape)} and values {tuple(values.shape)} do not fit n={len(self.mean)}")
        slope, covariance = self.regression(mask)
        return Gaussian(self.mean[~mask] + slope @ (values.to(self.mean) - self.mean[mask]), covariance)

    def regression(
        self, mask: Bool[Tensor, " n"]
    ) -> tuple[Float[Tensor, "unknown known"], Float[Tensor, "unknown unknown"]]:
        """S_ba S_aa^-1, by which the unknown part's mean follows the known one, and what variance is left."""
        known, cross = self.covariance[mask][:, mask], self.covariance[mask][:, ~mask]
        slope = torch.linalg.solve(known, cross).T
        return slope, self.covariance[~mask][:, ~mask] - slope @ cross
