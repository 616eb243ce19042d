"""The forward process, in log signal-to-noise ratio (Kingma et al. 2021, Variational Diffusion Models).

    z_t = alpha_t x0 + sigma_t eps,   eps ~ N(0, I)
    logsnr = log(alpha^2 / sigma^2),  alpha^2 + sigma^2 = 1   (variance preserving)

Everything downstream speaks logsnr; time t is known to schedules only. logsnr = +inf is the data itself.
"""

from jaxtyping import Float
from torch import Tensor


def alpha(logsnr: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return logsnr.sigmoid().sqrt()


def sigma(logsnr: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return (-logsnr).sigmoid().sqrt()


def alpha_sigma(
    logsnr: Float[Tensor, " b"], like: Float[Tensor, "b *chw"]
) -> tuple[Float[Tensor, "b *ones"], Float[Tensor, "b *ones"]]:
    """alpha and sigma shaped (b, 1, ..., 1), so that they multiply `like`."""
    logsnr = logsnr.reshape(-1, *(1,) * (like.ndim - 1))
    return alpha(logsnr), sigma(logsnr)


def diffuse(
    x0: Float[Tensor, "b *chw"], eps: Float[Tensor, "b *chw"], logsnr: Float[Tensor, " b"]
) -> Float[Tensor, "b *chw"]:
    """A sample of q(z_t | x0) = N(alpha_t x0, sigma_t^2 I), made from the noise eps."""
    a, s = alpha_sigma(logsnr, x0)
    return a * x0 + s * eps


def renewed(t: Float[Tensor, "*b"], s: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """1 - e^(logsnr_t - logsnr_s), the part of z_t's noise that came after s. In [0, 1]; s is nearer to the data.

    It makes both variances of a step: sigma_{t|s}^2 = renewed sigma_t^2 of q(z_t | z_s), and renewed sigma_s^2 of
    q(z_s | z_t, x0).
    """
    return -(t - s).expm1()


def posterior_mean(
    z: Float[Tensor, "b *chw"], x0: Float[Tensor, "b *chw"], t: Float[Tensor, ""], s: Float[Tensor, ""]
) -> Float[Tensor, "b *chw"]:
    """The mean of q(z_s | z_t, x0), for levels t (of z) and s nearer to the data (Ho et al. 2020, eq. 7).

        (alpha_t sigma_s^2 / (alpha_s sigma_t^2)) z_t + (1 - e^(logsnr_t - logsnr_s)) alpha_s x0

    Equal to e^(logsnr_t - logsnr_s) (alpha_s / alpha_t) z_t + ..., but finite at both ends: x0 itself at s = +inf.
    """
    keep = alpha(t) * sigma(s) ** 2 / (alpha(s) * sigma(t) ** 2)
    return keep * z + renewed(t, s) * alpha(s) * x0
