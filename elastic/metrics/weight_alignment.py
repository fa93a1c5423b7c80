r"""Alignment of weights with the class means of their input.

V_r are the first r right singular vectors of W [rows, d], P the projection onto the span of the class means of the
features that enter W. The cosines of the principal angles between the two subspaces are the singular values of V_rᵀ P.
The code of rangamani2023feature averages them, with r = K and uncentred class means, for every linear module. This is
`weight_class_cosine`, except for matrices of rank below K, which have no K leading directions. `weight_class_alignment`
uses centred class means, as neural collapse does, and squares the cosines, so that the value of a random W is known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.contract import metric
from elastic.metrics.rounding import magnitude, rounding_of_rows, spacing
from elastic.metrics.weight_spectrum import WeightSpectrum


@metric(
    group="weights",
    source="rangamani2023feature",
    formula="(1/r) Σ_i cos²θ_i(span(v_1 … v_r), span(μ_1-μ_G … μ_K-μ_G))",
    bounds=(0.0, 1.0),
    at_collapse=1.0,
)
def weight_class_alignment(spectrum: WeightSpectrum, input_statistics: ClassStatistics) -> Tensor:
    r"""Overlap of the leading right singular vectors with the span of the input's centred class means.

    ‖V_rᵀ P‖²_F / r = (1/r) Σ_i cos²θ_i with V_r = [v_1 … v_r] the first right singular vectors of W, P the projection
    onto the span of the μ_k - μ_G, θ_i the principal angles, and r the rank of the class means (K - 1 where they are
    independent) or of W, whichever is smaller. 1 if the leading directions lie in the span; r'/d on average for a
    random W, with r' the rank of the class means and d the width; 1 for every W of full rank if r' = d. NaN if the
    class means coincide, if W = 0, if a weight is not finite, or if σ_r = σ_{r+1}, so that v_1 … v_r are not unique (as
    for orthogonal initial weights).

    Convention: class means are centred about their mean and weighted equally. The code of the source uses uncentred
    means, r = K, and the mean of cos θ_i (weight_class_cosine).

    Raises
    ------
    DegenerateInput
        If the weights do not take these features.

    >>> h, y = torch.tensor([[1.0, 0.0, 5.0], [-1.0, 0.0, 5.0]]), torch.tensor([0, 1])  # means differ along (1, 0, 0)
    >>> W = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]])  # v_1 = (3/5, 4/5, 0)
    >>> round(weight_class_alignment(WeightSpectrum(W, 2), ClassStatistics.of(h, y)).item(), 12)
    0.36
    """
    overlap = _overlap(spectrum, input_statistics.balanced.directions)
    return overlap.square().sum().div(overlap.shape[0]).clamp(max=1)


@metric(
    group="weights",
    source="rangamani2023feature",
    formula="(1/r) Σ_i cos θ_i(span(v_1 … v_r), span(μ_1 … μ_K))",
    bounds=(0.0, 1.0),
    at_collapse=1.0,
)
def weight_class_cosine(spectrum: WeightSpectrum, input_statistics: ClassStatistics) -> Tensor:
    r"""Mean cosine of the principal angles between leading right singular vectors and the input's class means.

    ‖V_rᵀ Q‖_* / r = (1/r) Σ_i cos θ_i with V_r = [v_1 … v_r] the first right singular vectors of W, Q an orthonormal
    basis of the span of the class means μ_k, ‖·‖_* the sum of singular values, and r the rank of the class means (K
    where they are independent) or of W, whichever is smaller. 1 if one subspace contains the other; between r'/d
    and √(r'/d) on average for a random W, r' the rank of the class means. NaN as weight_class_alignment.

    Convention: class means are not centred, as in the code of the source. That code always uses r = K, and so includes
    directions with singular value 0, which are determined by rounding errors.

    Raises
    ------
    DegenerateInput
        If the weights do not take these features.

    >>> h, y = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]), torch.tensor([0, 1])  # span: the first two axes
    >>> W = torch.tensor([[9.0, 0.0, 0.0], [0.0, 3.0, 4.0]])  # v = (1, 0, 0), (0, 3/5, 4/5): (1 + 3/5)/2
    >>> round(weight_class_cosine(WeightSpectrum(W, 2), ClassStatistics.of(h, y)).item(), 12)
    0.8
    """
    overlap = _overlap(spectrum, _span(input_statistics))
    if not bool(overlap.isfinite().all()):
        return overlap.new_tensor(float("nan"))  # the decomposition fails for non-finite values
    cosines: Tensor = torch.linalg.svdvals(overlap)
    return cosines.sum().div(overlap.shape[0]).clamp(max=1)


def _overlap(spectrum: WeightSpectrum, basis: Tensor) -> Tensor:
    """Return V_rᵀ B [r, r'] for an orthonormal basis B [d, r'] of class means; one NaN where V_r is not defined."""
    values, basis = spectrum.singular_values, basis.to(spectrum.singular_values.device)
    if len(spectrum.directions) != len(basis):
        wanted, found = f"have {len(basis)} columns", str(list(spectrum.weights.shape))
        raise DegenerateInput("`spectrum`", wanted, found, "the weights of the module that takes these features")
    r = min(basis.shape[1], spectrum.rank)
    following = values[r] if r < len(values) else values.new_zeros(())
    if r == 0 or not bool(values[r - 1] - following > spectrum.rounding):
        return values.new_full((1, 1), float("nan"))
    return spectrum.directions[:, :r].T @ basis


def _span(statistics: ClassStatistics) -> Tensor:
    """Return an orthonormal basis [d, r'] of the span of the class means as they are."""
    means = statistics.means
    scale = magnitude(means)
    _, values, vh = torch.linalg.svd(means / scale, full_matrices=False)
    known = rounding_of_rows(statistics.mean_rounding / scale, values.new_ones(len(means)), means.shape[1])
    relative = len(means) * spacing(torch.float32) * values.max()
    directions: Tensor = vh[values > torch.maximum(relative, known)].T
    return directions
