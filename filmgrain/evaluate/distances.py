"""How far apart two clouds of features are: the Fréchet distance, and the kernel distance KID. In float64.

Features are (n, d): a row an image. Both are 0 for clouds of one distribution, KID only on average, and neither knows
which of the two clouds are the samples.
"""

import torch
from jaxtyping import Float
from torch import Tensor

ROWS = 2048  # of a Gram matrix at once; memory grows with it, nothing else


class TooFew(ValueError):
    """Fewer images than a measure can be made of."""


def frechet(samples: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)), of means m and covariances S (Heusel et al. 2017).

    It is too large for want of images, by an amount that falls as 1/n: compare only what is made of equally many.
    Raises TooFew unless there are more images than features, without which a covariance says more of n than of images.
    """
    for name, features in (("samples", samples), ("reference", reference)):
        if len(features) <= (width := features.shape[1]):
            raise TooFew(
                f"a Fréchet distance of {len(features)} {name} in {width} features measures their number; "
                f"use more than {width}, better {10 * width}, or leave fd out"
            )
    return frechet_of_moments(*moments(samples), *moments(reference))


def moments(features: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and unbiased covariance."""
    mean = features.double().mean(0)
    centred = features.double() - mean
    return mean, centred.T @ centred / (len(features) - 1)


def frechet_of_moments(
    mean: Float[Tensor, " d"],
    covariance: Float[Tensor, "d d"],
    other_mean: Float[Tensor, " d"],
    other_covariance: Float[Tensor, "d d"],
) -> float:
    """The same from moments, such as those that others publish of a data set.

    tr (S S')^(1/2) = sum of the square roots of the eigenvalues of R^T S' R, where R R^T = S. That product is symmetric
    and its eigenvalues are not negative, so that no complex square root of a matrix is taken, and none fails.
    """
    values, vectors = torch.linalg.eigh(covariance.double())
    root = vectors * values.clamp(min=0).sqrt()
    cross = torch.linalg.eigvalsh(root.T @ other_covariance.double() @ root).clamp(min=0).sqrt().sum()
    apart = (mean.double() - other_mean.double()).square().sum()
    return float(apart + covariance.double().trace() + other_covariance.double().trace() - 2 * cross)


def kid(samples: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """The unbiased squared maximum mean discrepancy with k(x, y) = (x.y / d + 1)^3 (Bińkowski et al. 2018).

    Of all pairs, where the paper averages over subsets: the mean is the same, and the spread is the least there is.
    """
    if min(len(samples), len(reference)) < 2:
        raise TooFew(f"KID of {len(samples)} samples and {len(reference)} of the reference; use 2 or more of each")
    within = _mean_of_pairs(samples) + _mean_of_pairs(reference)
    across = sum(_kernel(rows, reference).sum() for rows in samples.double().split(ROWS))
    return float(within - 2 * across / (len(samples) * len(reference)))


def _kernel(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return (x @ y.double().T / x.shape[1] + 1) ** 3


def _mean_of_pairs(x: Float[Tensor, "n d"]) -> Tensor:
    """The kernel's mean over pairs of different rows."""
    n, x = len(x), x.double()
    total = sum(_kernel(rows, x).sum() for rows in x.split(ROWS))
    itself = (x.square().sum(1) / x.shape[1] + 1) ** 3
    return (total - itself.sum()) / (n * (n - 1))
