r"""Singular values of a weight matrix: spectral norm, stable and effective rank.

W [rows, columns] maps the input features of a module to its output features. A convolution counts as the matrix
[out, in·kh·kw] that is applied to every patch; its singular values are not those of the whole linear map from image to
image, which also depend on stride, padding and size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.moments import vectors
from elastic.metrics.rounding import UNIT, magnitude, norm, spacing


@dataclass(frozen=True, eq=False)
class WeightSpectrum:
    """Singular value decomposition W = U diag(σ) Vᵀ of a weight matrix, computed on first access.

    Attributes
    ----------
    weights
        W [rows, columns], in the dtype of the model.
    classes
        Number of classes K, which is also the number of recorded singular values.
    """

    weights: Tensor
    classes: int

    @cached_property
    def singular_values(self) -> Tensor:
        """σ_1 ≥ σ_2 ≥ … [min(rows, columns)] in float64; all NaN if a weight is not finite."""
        if not self._is_finite:
            return self._matrix.new_full((min(self._matrix.shape),), float("nan"))
        scale = magnitude(self._matrix)
        values: Tensor = torch.linalg.svdvals(self._matrix / scale) * scale
        return values

    @cached_property
    def directions(self) -> Tensor:
        """Right singular vectors [columns, min(rows, columns)], ordered as the singular values; NaN as these."""
        if not self._is_finite:
            return self._matrix.new_full((self._matrix.shape[1], min(self._matrix.shape)), float("nan"))
        _, _, vh = torch.linalg.svd(self._matrix / magnitude(self._matrix), full_matrices=False)
        transposed: Tensor = vh.T
        return transposed

    @property
    def rounding(self) -> Tensor:
        """Size below which a singular value, or the gap between two, is a rounding error.

        (ε/2)‖W‖_F, the largest change of a singular value when weights are rounded to their type (float32 for shorter
        ones), and the error of the decomposition, max(rows, columns)·ε_64·σ_1.
        """
        eps = min(spacing(self.weights.dtype), spacing(torch.float32))
        computed = 2 * UNIT * max(self._matrix.shape) * self.singular_values[0]
        return eps / 2 * norm(self.singular_values) + computed

    @property
    def rank(self) -> int:
        """Number of singular values above `rounding`."""
        return int((self.singular_values > self.rounding).sum())

    @cached_property
    def _matrix(self) -> Tensor:
        return vectors(self.weights)

    @property
    def _is_finite(self) -> bool:
        return bool(self._matrix.isfinite().all())


@metric(group="weights", source="rudelson2007sampling", formula="σ_1(W)", units="weight unit", bounds=(0.0, None))
def weight_spectral_norm(spectrum: WeightSpectrum) -> Tensor:
    """Largest singular value of the weight matrix, σ_1(W) = max over ‖x‖ = 1 of ‖Wx‖.

    NaN if a weight is not finite.

    Convention: W is the weight matrix whose outputs are the layer; a convolution is the matrix [out, in·kh·kw], without
    stride and padding.

    >>> weight_spectral_norm(WeightSpectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2)).item()
    4.0
    """
    return spectrum.singular_values[0]


@metric(group="weights", source="rudelson2007sampling", formula="‖W‖_F²/σ_1²", bounds=(1.0, None))
def weight_stable_rank(spectrum: WeightSpectrum) -> Tensor:
    """Stable rank of the weight matrix, ‖W‖_F²/σ_1².

    Σ_r σ_r²/σ_1²: between 1 and the rank, equal to the rank if all non-zero singular values are equal (K - 1 for a
    simplex of K classes). Small singular values contribute little. NaN if W = 0 or a weight is not finite.

    Convention: W is not centred; the source calls it numerical rank.

    >>> W = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # (9 + 16)/16
    >>> weight_stable_rank(WeightSpectrum(W, 2)).item()
    1.5625
    """
    values = spectrum.singular_values
    return (values / values[0]).square().sum()


@metric(group="weights", source="roy2007effective", formula="exp(-Σ_r p_r ln p_r), p_r = σ_r/Σσ", bounds=(1.0, None))
def weight_effective_rank(spectrum: WeightSpectrum) -> Tensor:
    """Effective rank of the weight matrix: exponential of the entropy of its normalised singular values.

    exp(-Σ_r p_r ln p_r) with p_r = σ_r / Σ_s σ_s and 0 ln 0 = 0: between 1 and the rank, equal to the rank if all
    non-zero singular values are equal. NaN if W = 0 or a weight is not finite.

    Convention: natural logarithm; singular values, not their squares, are normalised.

    >>> W = torch.tensor([[3.0, 0.0], [0.0, 1.0]])  # p = 3/4, 1/4: (4/3)^(3/4) · 4^(1/4) = 4/3^(3/4)
    >>> round(weight_effective_rank(WeightSpectrum(W, 2)).item() ** 4, 9)  # 256/27
    9.481481481
    """
    values = spectrum.singular_values
    shares = values / values[0]
    entropy: Tensor = torch.special.entr(shares / shares.sum()).sum()
    return entropy.exp()


@metric(
    group="weights",
    source="rangamani2023feature",
    formula="σ_r(W)",
    units="weight unit",
    bounds=(0.0, None),
    dims=("component",),
)
def weight_singular_values(spectrum: WeightSpectrum) -> Tensor:
    """Leading singular values σ_1 ≥ … ≥ σ_K of the weight matrix [K].

    σ_r of W = Σ_r σ_r u_r v_rᵀ, one for each class: collapsed features occupy at most K directions. NaN if a weight is
    not finite. The code of the source records all singular values, relative to their sum.

    Convention: not normalised; 0 beyond min(rows, columns).

    >>> weight_singular_values(WeightSpectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 3)).tolist()
    [4.0, 3.0, 0.0]
    """
    values = spectrum.singular_values[: spectrum.classes]
    missing = spectrum.classes - len(values)
    return torch.nn.functional.pad(values, (0, missing), value=0.0 if values.isfinite().all() else float("nan"))
