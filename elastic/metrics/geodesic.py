"""Correlation of similarity with geodesic distance along the curve on which the data lie."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.update import UpdateResponse, example_update, not_zero

__all__ = ["example_update"]

#: Fewest pairs: two always lie on a line.
LEAST_PAIRS = 3


@metric(
    group="elasticity",
    source="he2020local",
    formula="Pearson's r over a, m in j of |Δ(m;a)|/|Δ(a;a)| and the geodesic distance of a and m",
    bounds=(-1.0, 1.0),
    dims=("stepped_class",),
)
def geodesic_correlation(update: UpdateResponse, geodesic_distances: Tensor) -> Tensor:
    r"""Correlation of relative similarity with geodesic distance in each class; near −1 if locally elastic.

    Pearson's r over the pairs a ≠ m of class j of $\lVert\Delta(m;a)\rVert / \lVert\Delta(a;a)\rVert$ and the distance
    of a and m along the data's curve, [K]: r = Σ(s−s̄)(d−d̄) / √(Σ(s−s̄)² Σ(d−d̄)²). NaN with fewer than three pairs,
    or if either is constant.

    Convention: over pairs of different samples (the authors include each sample with itself, at similarity 1 and
    distance 0). Measured only on data with a geodesic coordinate (data set torus).

    Examples
    --------
    Samples at distances 1 and 3 are moved by 5 and 3; the third is of another class:

    >>> distances = torch.tensor([[3.0, 1.0, 2.0]], dtype=torch.float64)
    >>> geodesic_correlation(example_update(), distances).tolist()            # two pairs always lie on a line
    [nan, nan]
    >>> one_class = example_update().observed * 0
    >>> from dataclasses import replace
    >>> of_one = replace(example_update(), observed=one_class)                # similarities 3/8, 5/8, 1/8
    >>> round(geodesic_correlation(of_one, distances)[0].item(), 6)           # Σ = −½, Σs² = ⅛, Σd² = 2
    -0.5
    """
    similarity = update.norms / not_zero(update.own_norms)[:, None]
    known = update.counted & ~similarity.isnan() & ~geodesic_distances.isnan()
    correlations = []
    for label in range(update.classes):
        pairs = known & (update.stepped == label)[:, None] & (update.observed == label)[None, :]
        correlations.append(_correlation(similarity[pairs], geodesic_distances[pairs]))
    return torch.stack(correlations)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    if len(first) < LEAST_PAIRS:
        return first.new_tensor(float("nan"))
    a, b = first - first.mean(), second - second.mean()
    # Equal values differ only by rounding errors.
    for centred, values in ((a, first), (b, second)):
        if centred.abs().max() <= 1e-12 * values.abs().max():
            return first.new_tensor(float("nan"))
    r: Tensor = ((a / a.norm()) @ (b / b.norm())).clamp(-1, 1)
    return r
