"""A mixture of round Gaussians: several modes, or classes. Its denoiser is not linear."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..diffusion.cond import Cond
from ..diffusion.process import alpha, sigma


@dataclass(frozen=True, eq=False)
class Mixture:
    """x0 ~ sum_k weights_k N(means_k, stds_k^2 I). With v_k = alpha^2 stds_k^2 + sigma^2, the variance of z in k,

        E[x0 | z] = sum_k r_k (sigma^2 means_k + alpha stds_k^2 z) / v_k,
        r_k proportional to weights_k N(z; alpha means_k, v_k I)

    cond.vector (b, m) multiplies the weights: one-hot picks a class, ones (or no vector) leave all.
    """

    weights: Float[Tensor, " m"]  # of any sum; above 0
    means: Float[Tensor, "m n"]
    stds: Float[Tensor, " m"]  # 0 for a single point

    def __post_init__(self) -> None:
        m = self.weights.numel()
        if (self.weights.shape, self.means.shape[:-1], self.stds.shape) != ((m,), (m,), (m,)):
            shapes = ", ".join(str(tuple(part.shape)) for part in (self.weights, self.means, self.stds))
            raise ValueError(f"weights, means and stds of shapes {shapes} do not go together; use (m,), (m, n), (m,)")

    def __call__(self, z: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b *chw"]:
        a, s = alpha(logsnr.to(z)), sigma(logsnr.to(z))
        spread = self.stds.to(z)[:, None] ** 2  # m 1
        variance = a**2 * spread + s**2  # m b
        joint = self._log_joint(z, a, variance)
        if cond.vector is not None:
            if cond.vector.shape != joint.T.shape:
                given, m = tuple(cond.vector.shape), len(joint)
                raise ValueError(f"cond.vector {given} is not a weight for each of {m} classes; use one-hot (b, {m})")
            joint = joint + cond.vector.to(z).T.log()
        share = joint.softmax(0) / variance
        x0 = (s**2 * share).T @ self.means.to(z) + (a * spread * share).sum(0)[:, None] * z.flatten(1)
        return x0.reshape(z.shape)

    def draw(
        self, count: int, generator: torch.Generator | None = None, classes: Tensor | None = None
    ) -> Float[Tensor, "count n"]:
        """`count` samples of x0; of the given classes (count,) where there are any."""
        if classes is None:
            classes = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[classes] + self.stds[classes, None] * noise

    def marginal(self, logsnr: float | Tensor) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
        """The mean and the covariance of z at a level."""
        level = torch.as_tensor(logsnr, dtype=self.means.dtype)
        a, s = alpha(level), sigma(level)
        share = self.weights / self.weights.sum()
        mean = share @ self.means
        within = (a**2 * (share @ self.stds**2) + s**2) * torch.eye(len(mean), dtype=mean.dtype)
        return a * mean, a**2 * ((share * (self.means - mean).T) @ (self.means - mean)) + within

    def log_density(self, z: Float[Tensor, "b *chw"], logsnr: float | Tensor = math.inf) -> Float[Tensor, " b"]:
        """log p(z) at a level, in nats; of x0 itself by default."""
        level = torch.as_tensor(logsnr).to(z)
        variance = alpha(level) ** 2 * self.stds.to(z)[:, None] ** 2 + sigma(level) ** 2
        return self._log_joint(z, alpha(level), variance).logsumexp(0)

    def conditional(self, mask: Bool[Tensor, " n"], values: Float[Tensor, " known"]) -> "Mixture":
        """The unknown part where the part under the mask is known: the same blobs, weighed by what they say of it."""
        if mask.shape != self.means.shape[1:] or values.shape != (int(mask.sum()),):
            n = self.means.shape[1]
            raise ValueError(f"mask {tuple(mask.shape)} and values {tuple(values.shape)} do not fit n={n}")
        known = Mixture(self.weights, self.means[:, mask], self.stds)
        joint = known._log_joint(values.to(self.means)[None], torch.ones(()), self.stds[:, None] ** 2)
        return Mixture(joint[:, 0].softmax(0), self.means[:, ~mask], self.stds)

    def _log_joint(
        self, z: Float[Tensor, "b *chw"], a: Float[Tensor, "*b"], variance: Float[Tensor, "m #b"]
    ) -> Float[Tensor, "m b"]:
        """log(weights_k N(z; a means_k, variance_k I)). The batch is the last axis, along which all of it is fast."""
        off = z.flatten(1).T[:, None] - self.means.to(z).T[..., None] * a  # n m b
        share = (self.weights / self.weights.sum()).to(z)[:, None]
        return share.log() - off.square().sum(0) / (2 * variance) - len(off) / 2 * (2 * math.pi * variance).log()
