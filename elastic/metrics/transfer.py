"""Transfer to classes that the network is not trained on: few-shot accuracy and linear probes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Most steps of the linear probe's optimiser, far more than needed for a few hundred samples.
MOST_STEPS = 1000


@dataclass(frozen=True)
class TransferFeatures:
    """One layer's features of some classes, in two disjoint sets of samples.

    Attributes
    ----------
    fit, fit_labels
        [n, d] and [n]: samples for supports and for fitting the linear probe.
    held, held_labels
        [m, d] and [m]: held-out samples for scoring.
    supports
        {shots s: [episodes, classes, s] indices into ``fit``}, with the same classes in the same order throughout.
    penalty
        λ of the linear probe.
    """

    fit: Tensor
    fit_labels: Tensor
    held: Tensor
    held_labels: Tensor
    supports: Mapping[int, Tensor]
    penalty: float = 1e-3

    def centred(self) -> tuple[Tensor, Tensor]:
        """Return both sets in float64, minus the mean of ``fit``."""
        fit, held = self.fit.double(), self.held.double()
        mean = fit.mean(0)
        return fit - mean, held - mean


def few_shot_accuracies(features: TransferFeatures) -> Tensor:
    """Return the accuracy of nearest means of s samples per class [S], averaged over episodes and held-out samples.

    Examples
    --------
    >>> few_shot_accuracies(example_transfer()).tolist()         # means −1 and 3 of the one episode: 1.2 is nearer to 3
    [0.75]
    """
    fit, held = features.centred()
    accuracies = []
    for support in features.supports.values():
        total = held.new_zeros(())
        for chosen in support:
            means = fit[chosen].mean(dim=1)
            # ‖h − μ‖² = ‖h‖² − 2⟨h, μ⟩ + ‖μ‖², of which ‖h‖² is the same for every class.
            nearest = (held @ means.T - means.square().sum(dim=1) / 2).argmax(dim=1)
            total += (features.fit_labels[chosen[:, 0]][nearest] == features.held_labels).double().mean()
        accuracies.append(total / len(support))
    return torch.stack(accuracies)


def linear_probe_accuracy(features: TransferFeatures) -> Tensor:
    r"""Return the accuracy of a linear probe on the held-out samples.

    The probe is `sklearn.linear_model.LogisticRegression`: it minimises the mean cross-entropy on the fitted samples
    plus (λ/2)‖W‖², W the weights without the bias, for features centred and scaled to a mean squared norm of 1. Its
    solution lies in the span of the fitted samples, so wide features are projected onto that span first, which does not
    change the accuracy; nor does the scale of the features.

    Examples
    --------
    >>> linear_probe_accuracy(example_transfer()).item()         # the boundary is between 1 and 3, near 1.5
    1.0
    """
    from sklearn.exceptions import ConvergenceWarning  # takes a second to import and is rarely needed
    from sklearn.linear_model import LogisticRegression

    if len(features.fit_labels.unique()) < 2:
        return features.fit.new_tensor(torch.nan, dtype=torch.float64)
    fit, held = _in_span(*features.centred())
    scale = fit.square().sum(dim=1).mean().sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    logistic_regression: Any = LogisticRegression  # without types
    probe = logistic_regression(C=1 / (features.penalty * len(fit)), max_iter=MOST_STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # the distance from the optimum changes the accuracy by far less than one sample
        probe.fit((fit / scale).cpu().numpy(), features.fit_labels.cpu().numpy())
    decided = torch.as_tensor(probe.predict((held / scale).cpu().numpy()))
    return (decided == features.held_labels.cpu()).double().mean()


def _in_span(fit: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Project both sets onto an orthonormal basis of the span of the first, if that has fewer dimensions."""
    if fit.shape[1] <= len(fit):
        return fit, held
    basis, coordinates = torch.linalg.qr(fit.T)
    return coordinates.T, held @ basis


def example_transfer() -> TransferFeatures:
    """Return features of two classes on a line, −1 and 1 against 3, and one episode of one sample a class.

    >>> example_transfer().held.flatten().double().round(decimals=6).tolist()
    [-1.0, 1.2, 3.0, 4.0]
    """
    column = torch.tensor
    return TransferFeatures(
        fit=column([[-1.0], [1.0], [3.0], [3.0]]),
        fit_labels=column([0, 0, 1, 1]),
        held=column([[-1.0], [1.2], [3.0], [4.0]]),
        held_labels=column([0, 0, 1, 1]),
        supports={1: column([[[0], [2]]])},
    )
