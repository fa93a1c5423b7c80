r"""What locality is known to, and its bias, by leaving out one sample at a time.

Locality is a ratio of means over few samples with heavy tails: it is biased upwards where few samples are stepped. On a
network in which one sample of eight carries 60 % of its class's self-response, it is 3.01 at 8 stepped samples of a
class and 2.60 at all 144 (`tests/scripts/coverage_of_errors.py`). The jackknife estimates the part of the bias that
falls as 1/n: the corrected value at 8 is 2.79. One and a half times that correction (a bias that falls as n^-0.65)
removes more of the bias at 8 samples and overcorrects at 32; its error, bias and spread together, was larger on every
network on which it was tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.elasticity import locality
from elastic.metrics.jackknife import LeftOut, quantile, similarities
from elastic.metrics.update import UpdateResponse, example_pairs, not_zero, once

__all__ = ["example_pairs"]


@dataclass(frozen=True)
class Leaving:
    """The jackknife of a logarithm over strata.

    Attributes
    ----------
    bias
        Of the logarithm, []; NaN where a class has one sample.
    parts
        [2K] the part of each class, by stepped and by observed samples, in the variance of the logarithm.
    """

    bias: Tensor
    parts: Tensor

    @property
    def reach(self) -> Tensor:
        """Half the length of the interval of the logarithm: t·√(2V + 4b²).

        V is the variance of log locality. Its corrected value has a standard deviation 1.2 to 1.7 times as large, hence
        the factor 2. The correction b is as uncertain as it is large, and what it leaves of the bias is about as large
        again. One sample may make up most of the part of its class: each part has one degree of freedom
        (Satterthwaite).
        """
        variance = self.parts.sum()
        freedom = variance.square() / not_zero(self.parts.square().sum())
        t = quantile(freedom.nan_to_num(nan=1.0))
        return t * (2 * variance + 4 * self.bias.square()).sqrt()


@once
def leaving(update: UpdateResponse) -> Leaving:
    """Return bias and variance of the logarithm of locality, over stepped and over observed samples of each class."""
    means = similarities(update)
    parts = [
        _of_side(_without_stepped(means, update.stepped), update.stepped, update.classes),
        _of_side(_without_observed(means, update.observed), update.observed, update.classes),
    ]
    return Leaving(parts[0].bias + parts[1].bias, torch.cat([part.parts for part in parts]))


def _of_side(logs: Tensor, labels: Tensor, classes: int) -> Leaving:
    rows = torch.nn.functional.one_hot(labels, classes).double()
    count = rows.sum(0)
    mean = rows.T @ logs / not_zero(count)
    residual = logs - mean[labels]
    squares = rows.T @ residual.square() * (count - 1) / not_zero(count)
    there = count > 0
    return Leaving(((count - 1) * mean)[there].sum(), squares[there])


def _without_stepped(means: LeftOut, stepped: Tensor) -> Tensor:
    """Return the logarithm [J] of locality without each stepped sample, less that of the whole."""
    change = means.stepped - means.whole[stepped]
    unknown = (means.stepped.isnan() & ~means.whole[stepped].isnan()).any(1)
    return _changed(means.whole, change, stepped, unknown)


def _without_observed(means: LeftOut, observed: Tensor) -> Tensor:
    change = (means.observed - means.whole[:, observed]).T
    unknown = (means.observed.isnan() & ~means.whole[:, observed].isnan()).any(0)
    return _changed(means.whole, change, observed, unknown)


def _changed(whole: Tensor, change: Tensor, labels: Tensor, unknown: Tensor) -> Tensor:
    own = torch.eye(len(whole), dtype=torch.bool, device=whole.device)
    change, mine = change.nan_to_num(nan=0.0), own[labels]
    inside, outside = whole[own].nansum(), whole[~own].nansum()
    logs = torch.log1p((change * mine).sum(1) / inside) - torch.log1p((change * ~mine).sum(1) / outside)
    return torch.where(unknown, torch.nan, logs)


def _ends(update: UpdateResponse) -> tuple[Tensor, Tensor]:
    """Return the ends of the interval of locality, about its corrected value."""
    reach, corrected = leaving(update).reach, locality_corrected(update)
    return corrected * torch.exp(-reach), corrected * torch.exp(reach)


@metric(
    group="elasticity",
    source="he2020local",
    formula="locality * exp(-b), b = sum over classes of (n - 1) * mean of log(locality without a sample / locality)",
    bounds=(0.0, None),
)
def locality_corrected(update: UpdateResponse) -> Tensor:
    r"""Locality without the part of its bias that falls as one over the number of samples.

    $L e^{-b}$ with the jackknife's bias $b = \sum_j (n_j - 1) \operatorname{mean}_{a \in j} \log(L_{-a}/L)$ of the
    logarithm and the same over observed samples, []. It varies about half as much again as locality.

    Convention: where tails are heavy the bias falls more slowly than 1/n, and about half of it is left at n = 8.

    Examples
    --------
    >>> locality_corrected(example_pairs()).item()                # both samples of a class move everything alike
    4.0
    """
    return locality(update) * torch.exp(-leaving(update).bias)


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="max(locality_upper - locality, locality - locality_lower) / 2",
    bounds=(0.0, None),
)
def locality_stderr(update: UpdateResponse) -> Tensor:
    r"""Standard error of locality: half the way to the farther end of its interval, so that ±2 of it cover its bias.

    $\max(L_u - L, L - L_l) / 2$, [].

    Examples
    --------
    >>> locality_stderr(example_pairs()).item()
    0.0
    """
    value, (low, high) = locality(update), _ends(update)
    return torch.maximum(high - value, value - low) / 2


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="locality_corrected * exp(-t * sqrt(2V + 4b²)), V and b the jackknife's variance and bias of log locality",
    bounds=(0.0, None),
)
def locality_lower(update: UpdateResponse) -> Tensor:
    r"""Lower end of the 95 % interval of locality over draws of samples.

    $L_- = L_c \exp(-t \sqrt{2 V + 4 b^2})$, []: V the variance of log L by leaving out one stepped or observed sample
    of a class at a time, b its bias, t the quantile of Student's t.

    Convention: of the samples, not of the seeds: how far another draw of samples on the same network may be.

    Examples
    --------
    >>> locality_lower(example_pairs()).item()
    4.0
    """
    return _ends(update)[0]


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="locality_corrected * exp(t * sqrt(2V + 4b²)), V and b the jackknife's variance and bias of log locality",
    bounds=(0.0, None),
)
def locality_upper(update: UpdateResponse) -> Tensor:
    r"""Upper end of the 95 % interval of locality over draws of samples.

    $L_+ = L_c \exp(t \sqrt{2 V + 4 b^2})$, []; see locality_lower.

    Examples
    --------
    >>> locality_upper(example_pairs()).item()
    4.0
    """
    return _ends(update)[1]
