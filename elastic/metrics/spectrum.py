"""Singular values and rank of the class means."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import metric
from elastic.metrics.rounding import magnitude


@metric(
    source="tirer2022extended",
    formula="σ_r([μ_1 … μ_K])",
    units="feature unit",
    bounds=(0.0, None),
    dims=("component",),
)
def class_mean_spectrum(statistics: ClassStatistics) -> Tensor:
    """Singular values σ_1 ≥ … ≥ σ_K of the K×d matrix of class means [K].

    If a layer has collapsed, with n samples of each class, the matrix of all features has the singular values √n σ_r.
    `elastic.theory.mse_factor_model` predicts them for logits, `mse_factor_layer` predicts σ_r for any layer.

    Convention: the class means are not centred; 0 beyond d if d < K.

    >>> h, y = torch.tensor([[3.0, 0.0], [0.0, 5.0], [0.0, 3.0]]), torch.tensor([0, 1, 1])
    >>> class_mean_spectrum(ClassStatistics.of(h, y)).tolist()  # means (3, 0) and (0, 4)
    [4.0, 3.0]
    """
    return _singular_values(statistics.means)


@metric(
    source="tirer2022extended",
    formula="σ_r([μ_1-μ_G … μ_K-μ_G])",
    units="feature unit",
    bounds=(0.0, None),
    dims=("component",),
)
def class_mean_spectrum_centred(statistics: ClassStatistics) -> Tensor:
    """Singular values σ_1 ≥ … ≥ σ_K of the K×d matrix of centred class means μ_k - μ_G [K].

    For a simplex K - 1 of them are equal; the last is always 0, up to rounding. Σ_r σ_r² = K tr Σ_B.

    Convention: μ_G is the mean of the class means; 0 beyond d if d < K.

    >>> h, y = torch.tensor([[3.0, 0.0], [0.0, 5.0], [0.0, 3.0]]), torch.tensor([0, 1, 1])
    >>> class_mean_spectrum_centred(ClassStatistics.of(h, y)).square().round(decimals=12).tolist()  # ‖(3, -4)‖²/2
    [12.5, 0.0]
    """
    return _singular_values(statistics.centred)


@metric(
    source="papyan2020prevalence",
    formula="#{r: σ_r(M) > max(τ σ_1(M), rounding)}, M the rows μ_k-μ_G",
    bounds=(0.0, None),
)
def class_mean_rank(statistics: ClassStatistics) -> Tensor:
    """Numerical rank of the centred class means: the number of directions that nc1 sums over.

    Number of singular values of M [K, d], the rows μ_k - μ_G, above both τ = ``rank_tolerance`` times the largest and
    the rounding of the means; at most K - 1, 0 if the class means coincide. If it differs between nearly equal
    features, such as those computed in float32 and in float64, weak directions dominate nc1; pass a larger
    ``rank_tolerance`` (such as 1e-6) to exclude them.

    Convention: τ is K·ε by default, with ε of the features' dtype (at most that of float32); class means are weighted
    equally.

    >>> import torch
    >>> h, y = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1, 2])  # on one line
    >>> class_mean_rank(ClassStatistics.of(h, y)).item()
    1.0
    """
    values = statistics.balanced.singular_values
    return values.new_tensor(len(values))


def _singular_values(means: Tensor) -> Tensor:
    scale = magnitude(means)
    values = torch.linalg.svdvals(means / scale) * scale
    return torch.nn.functional.pad(values, (0, len(means) - len(values)))
