"""The reading of local elasticity: movements under single steps, reduced to a few numbers per pair of samples.

A sample a of class j is *stepped*: one gradient step on its own loss (for a loss that couples all stepped samples, on
the gradient of that loss with respect to the sample's own features). A sample m of class k is *observed*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TypeVar

import torch
from torch import Tensor

Found = TypeVar("Found")

PAIR_OF_CLASSES = ("stepped_class", "observed_class")


@dataclass(frozen=True)
class UpdateResponse:
    """Movements of M observed samples under J single steps, in one layer, reduced (all float64).

    Attributes
    ----------
    classes
        Number of classes K.
    stepped, observed
        [J] and [M] int64 class of each sample.
    counted
        [J, M] bool; False where the observed sample is the stepped one.
    norms
        [J, M] ‖Δ(m;a)‖.
    products
        [J, M] ⟨Δ(m;a), Δ(a;a)⟩.
    own_norms
        [J] ‖Δ(a;a)‖.
    shift_norms
        [J, K] ‖mean of Δ(m;a) over the counted m of a class‖.
    shift_along_mean
        [J, K] that mean's component along μ_k − μ_G.
    within_rates
        [J, K] derivative of the class's within-class variance (1/n)Σ‖h_m − μ_k‖² along the step.
    within_variances
        [J, K] that variance itself, over the counted m.
    loss_rates
        [J] decrease of the loss per unit learning rate, from the stepped sample's own movement in the layer that the
        loss is a function of: −⟨∂ℓ/∂h(a), Δ(a;a)⟩, to first order ‖∇ℓ(a)‖².
    """

    classes: int
    stepped: Tensor
    observed: Tensor
    counted: Tensor
    norms: Tensor
    products: Tensor
    own_norms: Tensor
    shift_norms: Tensor
    shift_along_mean: Tensor
    within_rates: Tensor
    within_variances: Tensor
    loss_rates: Tensor

    def members(self, labels: Tensor) -> Tensor:
        """Return the [n, K] float64 indicator of the labels' classes."""
        return torch.nn.functional.one_hot(labels, self.classes).double()

    def over_pairs(self, values: Tensor) -> Tensor:
        """Return the [K, K] means of values [J, M] over the counted pairs of two classes (NaN if none)."""
        rows, columns, pairs = self._pairs
        return rows.T @ torch.where(self.counted, values, 0.0) @ columns / pairs

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Members of the stepped and of the observed classes, and numbers of counted pairs: all means share them."""
        rows, columns = self.members(self.stepped), self.members(self.observed)
        return rows, columns, not_zero(rows.T @ self.counted.double() @ columns)

    def over_stepped(self, values: Tensor) -> Tensor:
        """Return the means of values [J] or [J, K] over the stepped samples of each class: [K] or [K, K]."""
        rows = self._pairs[0]
        known = ~values.isnan()
        count = rows.T @ known.double()
        return rows.T @ torch.where(known, values, 0.0) / not_zero(count)


def once(function: Callable[[UpdateResponse], Found]) -> Callable[[UpdateResponse], Found]:
    """Cache the result of a function of a reading, so that several metrics compute it only once; a decorator.

    The result is stored in an attribute of the reading and has the same lifetime.

    >>> asked = []
    >>> count = once(lambda update: asked.append(update.classes) or len(update.stepped))
    >>> update = example_update()
    >>> count(update), count(update), asked
    (1, 1, [2])
    """
    name = f"once {function.__module__}.{function.__qualname__}"

    @wraps(function)
    def kept(update: UpdateResponse) -> Found:
        known = vars(update)
        if name not in known:
            known[name] = function(update)
        value: Found = known[name]
        return value

    return kept


def not_zero(values: Tensor) -> Tensor:
    """Replace zeros by NaN, so that ratios to them are NaN, not infinite.

    >>> not_zero(torch.tensor([0.0, 2.0]))
    tensor([nan, 2.])
    """
    return torch.where(values == 0, torch.nan, values)


def example_update() -> UpdateResponse:
    """Return one step on a sample of class 0, with two observed samples of class 0 and one of class 1.

    >>> example_update().norms.tolist()
    [[3.0, 5.0, 1.0]]
    """
    row = torch.tensor
    return UpdateResponse(
        classes=2,
        stepped=row([0]),
        observed=row([0, 0, 1]),
        counted=row([[True, True, True]]),
        norms=row([[3.0, 5.0, 1.0]], dtype=torch.float64),
        products=row([[24.0, 40.0, -8.0]], dtype=torch.float64),
        own_norms=row([8.0], dtype=torch.float64),
        shift_norms=row([[4.0, 1.0]], dtype=torch.float64),
        shift_along_mean=row([[4.0, -0.5]], dtype=torch.float64),
        within_rates=row([[-2.0, 0.0]], dtype=torch.float64),
        within_variances=row([[4.0, 1.0]], dtype=torch.float64),
        loss_rates=row([5.0], dtype=torch.float64),
    )


def example_pairs() -> UpdateResponse:
    """Return two equal steps on samples of each of two classes, observed on two samples of each that move equally.

    >>> example_pairs().norms.tolist()
    [[4.0, 4.0, 1.0, 1.0], [4.0, 4.0, 1.0, 1.0], [1.0, 1.0, 4.0, 4.0], [1.0, 1.0, 4.0, 4.0]]
    """
    labels = torch.tensor([0, 0, 1, 1])
    same = labels[:, None] == labels[None, :]
    norms = torch.where(same, 4.0, 1.0).double()
    by_class = torch.where(labels[:, None] == torch.arange(2), 4.0, 1.0).double()
    return UpdateResponse(
        classes=2,
        stepped=labels,
        observed=labels,
        counted=torch.ones_like(same),
        norms=norms,
        products=8 * norms,
        own_norms=torch.full((4,), 8.0, dtype=torch.float64),
        shift_norms=by_class,
        shift_along_mean=by_class,
        within_rates=-by_class,
        within_variances=by_class,
        loss_rates=torch.full((4,), 5.0, dtype=torch.float64),
    )
