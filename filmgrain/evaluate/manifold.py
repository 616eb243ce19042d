"""How good samples are and how varied, told apart: precision and recall, density and coverage, by nearest neighbours.

The manifold of a cloud is the union of balls around its points, each as wide as the distance to the k-th nearest other
point. In float64; features are (n, d), a row an image.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .distances import ROWS, TooFew

PAIR = 3  # neighbours that make the balls of precision and recall, as in their paper
BALLS = 5  # the same of density and coverage
SAME = 1e-12  # of the largest squared distance to the mean: below it, two rows of features are one


def manifold(samples: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> dict[str, float]:
    """precision: the share of samples in the reference's manifold; recall: of the reference in the samples'
    (Kynkäänniemi et al. 2019, k = 3).

    density: in how many of the reference's balls a sample lies, over k, which is 1 for samples of the reference's own
    distribution and can be more; coverage: the share of the reference's balls that hold a sample
    (Naeem et al. 2020, k = 5). Outliers of the reference fool density less than precision.
    """
    if min(len(samples), len(reference)) <= BALLS:
        raise TooFew(
            f"the manifolds of {len(samples)} samples and {len(reference)} of the reference need neighbours; "
            f"use more than {BALLS} of each, better thousands"
        )
    centre = reference.double().mean(0)  # distances to the origin cost digits
    samples, reference = samples.double() - centre, reference.double() - centre
    theirs, wide = radii(reference, PAIR, BALLS)
    (own,) = radii(samples, PAIR)
    precise, dense, start = 0, 0, 0
    recalled, covered = (torch.zeros(len(reference), dtype=torch.bool) for _ in range(2))
    for distance in _squared(samples, reference):
        precise += int((distance <= theirs).any(1).sum())
        recalled |= (distance <= own[start : start + len(distance), None]).any(0)
        inside: Bool[Tensor, "rows m"] = distance <= wide
        dense += int(inside.sum())
        covered |= inside.any(0)
        start += len(distance)
    return {
        "precision": precise / len(samples),
        "recall": float(recalled.double().mean()),
        "density": dense / (BALLS * len(samples)),
        "coverage": float(covered.double().mean()),
    }


def radii(x: Float[Tensor, "n d"], *neighbours: int) -> list[Float[Tensor, " n"]]:
    """The squared distance of each point to its k-th nearest other one, for each k."""
    nearest = torch.cat([rows.topk(max(neighbours) + 1, largest=False).values for rows in _squared(x, x)])
    return [nearest[:, k] for k in neighbours]  # the 0-th is the point itself


def _squared(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Iterator[Float[Tensor, "rows m"]]:
    """Squared distances, some rows at a time; those that float32 features cannot tell from 0 are 0."""
    square = y.square().sum(1)
    for rows in x.split(ROWS):
        distance = torch.addmm(square, rows, y.T, alpha=-2).add_(rows.square().sum(1, keepdim=True))
        yield distance.masked_fill_(distance < SAME * square.max(), 0)
