"""Separation of the classes in a layer: nearest class means, traces of the scatter, pairs of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import metric
from elastic.metrics.rounding import magnitude


@metric(
    source="galanti2022role",
    formula="v_k = (1/n_k) Σ_{i in k} ‖h_i-μ_k‖²",
    units="feature unit squared",
    bounds=(0.0, None),
    at_collapse=0.0,
    dims=("class",),
)
def within_variance(statistics: ClassStatistics) -> Tensor:
    """Mean squared distance of a class's features from its mean, v_k = (1/n_k) Σ_{i in k} ‖h_i - μ_k‖² [K].

    Convention: divided by n_k (not n_k - 1), so that tr Σ_W = Σ_k (n_k/N) v_k.

    >>> h, y = torch.tensor([[0.0], [2.0], [5.0], [5.0]]), torch.tensor([0, 0, 1, 1])
    >>> within_variance(ClassStatistics.of(h, y)).tolist()
    [1.0, 0.0]
    """
    return statistics.within_variance


@metric(source="rangamani2023feature", formula="mean_i [argmin_k ‖h_i-μ_k‖ = y_i]", bounds=(0.0, 1.0), at_collapse=1.0)
def ncc_accuracy(nearest: Tensor, labels: Tensor) -> Tensor:
    """Accuracy of the nearest-class-mean classifier on this layer's features.

    Mean over samples i of [argmin_k ‖h_i - μ_k‖ = y_i].

    Convention: ties go to the first of the nearest class means; on test data the class means are those of the train
    split if it is probed.

    >>> ncc_accuracy(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])).item()
    0.75
    """
    return (nearest == labels.to(nearest.device)).count_nonzero().double() / len(nearest)


@metric(source="tirer2023perturbation", formula="tr Σ_W / tr Σ_B", bounds=(0.0, None), at_collapse=0.0)
def within_between_ratio(statistics: ClassStatistics) -> Tensor:
    """Ratio of the traces of the within-class and the between-class scatter.

    tr Σ_W / tr Σ_B with tr Σ_W = (1/N) Σ_i ‖h_i - μ_k‖² and tr Σ_B = (1/K) Σ_k ‖μ_k - μ_G‖²; NaN if the class
    means coincide.

    Convention: samples are weighted equally in Σ_W, classes in Σ_B and in μ_G.

    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), torch.tensor([0, 0, 1, 1])
    >>> within_between_ratio(ClassStatistics.of(h, y)).item()  # (1/4) / 1
    0.25
    """
    counts, scale = statistics.counts.double(), magnitude(statistics.centred)
    within = counts @ (statistics.within_deviation / scale).square() / counts.sum()
    return _over(within, (statistics.centred / scale).square().sum() / len(counts))


@metric(source="he2023law", formula="D = tr(SS_W SS_B⁺)", bounds=(0.0, None), at_collapse=0.0)
def fuzziness(statistics: ClassStatistics) -> Tensor:
    """Separation fuzziness D; the law of equi-separation states that each layer lowers it by the same factor.

    D = tr(SS_W SS_B⁺) with SS_W = (1/N) Σ_i (h_i - x̄_k)(h_i - x̄_k)ᵀ and SS_B = (1/N) Σ_k n_k (x̄_k - x̄)(x̄_k - x̄)ᵀ;
    NaN if the class means coincide.

    Convention: classes are weighted by n_k; x̄ is the mean of all samples. With equal counts D = K·nc1.

    >>> h, y = torch.tensor([[-2.0], [0.0], [2.0], [4.0]]), torch.tensor([0, 1, 1, 1])
    >>> round(fuzziness(ClassStatistics.of(h, y)).item(), 12)  # SS_W = 2, x̄ = 1, SS_B = (9 + 3·1)/4 = 3
    0.666666666667
    """
    return statistics.weighted.scatter_ratio()


@metric(
    source="galanti2022role",
    formula="V_jk = (v_j+v_k)/(2‖μ_j-μ_k‖²)",
    bounds=(0.0, None),
    at_collapse=0.0,
    dims=("class", "other_class"),
)
def cdnv(statistics: ClassStatistics) -> Tensor:
    """Class-distance normalised variance of each pair of classes [K, K].

    V_jk = (v_j + v_k) / (2‖μ_j - μ_k‖²) with v_k = (1/n_k) Σ_{i in k} ‖h_i - μ_k‖²; NaN on the diagonal and
    where two class means coincide.

    >>> h, y = torch.tensor([[-1.0], [1.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> cdnv(ClassStatistics.of(h, y)).tolist()  # (1 + 0) / (2·2²)
    [[nan, 0.125], [0.125, nan]]
    """
    relative = _over(statistics.within_deviation[:, None], statistics.mean_distances).square()
    return (relative + relative.T) / 2


@metric(source="galanti2022role", formula="mean_{j≠k} V_jk", bounds=(0.0, None), at_collapse=0.0)
def cdnv_mean(statistics: ClassStatistics) -> Tensor:
    """Class-distance normalised variance, mean over pairs of classes.

    Mean over j ≠ k of V_jk = (v_j + v_k) / (2‖μ_j - μ_k‖²); NaN where two class means coincide.

    Convention: all pairs of classes are weighted equally, whatever their numbers of samples.

    >>> h, y = torch.tensor([[-1.0], [1.0], [2.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> cdnv_mean(ClassStatistics.of(h, y)).item()
    0.125
    """
    value = cdnv(statistics)
    return value[~torch.eye(len(value), dtype=torch.bool, device=value.device)].mean()


def _over(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; NaN, not infinity, if the class means coincide."""
    return numerator / denominator.masked_fill(denominator == 0, float("nan"))
