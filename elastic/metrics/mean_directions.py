"""Directions of the class means, and the scatter along each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Between:
    """Thin singular value decomposition of the centred class means, and the scatter along its directions.

    Attributes
    ----------
    directions
        [d, r] right singular vectors, r ≤ min(K-1, d).
    singular_values
        [r] in descending order, all above the rank cut (see `read_classes`).
    within_deviation
        [r] root mean squares ((1/N) Σ_i (z_i·v)²)^½ of the residuals z = h - μ_k along each direction.
    """

    directions: Tensor
    singular_values: Tensor
    within_deviation: Tensor

    @property
    def within(self) -> Tensor:
        """Second moments (1/N) Σ_i (z_i·v)² [r] of the residuals: the diagonal of Vᵀ Σ_W V, never negative."""
        return self.within_deviation.square()

    def scatter_ratio(self) -> Tensor:
        """Return tr(Σ_W B⁺) for B = V S² Vᵀ; NaN if the class means have no spread."""
        if self.singular_values.numel() == 0:
            return self.singular_values.new_tensor(float("nan"))
        # Squares of ratios, not ratios of squares, which underflow for features of size 1e-200.
        return (self.within_deviation / self.singular_values).square().sum()
