"""Sums over pairs of samples, with their means and clustered standard errors for pairs of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.update import not_zero


@dataclass(frozen=True)
class PairSums:
    """Sums over pairs of samples, from which means and standard errors for pairs of classes are computed.

    Attributes
    ----------
    stepped, observed
        [J, K] and [M, K] float64 members of the classes.
    counted
        [J, M] bool, which pairs count.
    by_stepped
        [J, K, d] sum over the counted samples m of class k.
    by_observed
        [M, K, d] sum over the counted samples a of class j.
    squares
        [K, K, d] sum of squares over the counted pairs of each two classes.
    """

    stepped: Tensor
    observed: Tensor
    counted: Tensor
    by_stepped: Tensor
    by_observed: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor, stepped: Tensor, observed: Tensor, counted: Tensor) -> PairSums:
        """Return the sums of values [J, M]."""
        known = torch.where(counted, values.double(), 0.0)
        by_stepped, by_observed = known @ observed, known.T @ stepped
        squares = stepped.T @ known.square() @ observed
        return cls(stepped, observed, counted, by_stepped[..., None], by_observed[..., None], squares[..., None])

    def mean(self) -> Tensor:
        """Return the mean over the pairs of each two classes [K, K, d], NaN where there is none."""
        total = torch.einsum("aj,akd->jkd", self.stepped, self.by_stepped)
        return total / not_zero(self._pairs())[..., None]

    def stderr(self) -> Tensor:
        """Return the standard error of that mean [K, K, d], clustered as response_stderr_clustered.

        Examples
        --------
        Two stepped and two observed samples of one class; rows differ by 2, columns do not:

        >>> one = torch.ones(2, 1, dtype=torch.float64)
        >>> table = torch.tensor([[1.0, 1.0], [3.0, 3.0]])
        >>> PairSums.of(table, one, one, torch.ones(2, 2, dtype=torch.bool)).stderr().item()   # √(2 (2² + 2²)) / 4
        1.0
        """
        pairs, mean = self._pairs(), self.mean().nan_to_num()
        counted = self.counted.double()
        per_stepped, per_observed = counted @ self.observed, counted.T @ self.stepped
        own, other = self.stepped.argmax(dim=1), self.observed.argmax(dim=1)
        left = self.by_stepped - per_stepped[..., None] * mean[own]
        by_stepped = torch.einsum("aj,akd->jkd", self.stepped, left.square())
        left = self.by_observed - per_observed[..., None] * mean[:, other].transpose(0, 1)
        by_observed = torch.einsum("mk,mjd->jkd", self.observed, left.square())
        # Rounding errors may make the sum of squares negative if all pairs are equal.
        by_pair = (self.squares - pairs[..., None] * mean.square()).clamp(min=0.0)
        steps, samples = self.stepped.sum(0)[:, None, None], self.observed.sum(0)[None, :, None]
        by_stepped = by_stepped * steps / not_zero(steps - 1)
        by_observed = by_observed * samples / not_zero(samples - 1)
        by_pair = by_pair * (pairs / not_zero(pairs - 1))[..., None]
        larger = torch.maximum(by_stepped, by_observed)
        return torch.maximum(by_stepped + by_observed - by_pair, larger).sqrt() / not_zero(pairs)[..., None]

    def _pairs(self) -> Tensor:
        return self.stepped.T @ self.counted.double() @ self.observed
