r"""Confidence interval and bias of locality, by a jackknife over samples.

Locality is a ratio of means over few samples with heavy tails: it is biased upwards if few samples are stepped. On a
network in which one sample of eight makes up 60 % of its class's self-response, it is 3.01 with 8 stepped samples of
each class and 2.60 with all 144 (`tests/scripts/coverage_of_errors.py`). The jackknife estimates the part of the bias
that falls as 1/n: the corrected value with 8 samples is 2.79. A correction one and a half times as large (for a bias
that falls as n^-0.65) removes more of the bias with 8 samples, but overcorrects with 32; its root mean square error was
larger on every network that was tried.
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
    """Jackknife estimates for a logarithm, stratified by class.

    Attributes
    ----------
    bias
        Bias of the logarithm, []; NaN if a class has one sample.
    parts
        [2K] contributions to the variance of the logarithm: of each class's stepped, then observed samples.
    """

    bias: Tensor
    parts: Tensor

    @property
    def reach(self) -> Tensor:
        """Half the length of the interval of the logarithm: t·√(2V + 4b²).

        V is the variance of log locality. The corrected value has a standard deviation 1.2 to 1.7 times as large, hence
        the factor 2. The correction b is as uncertain as it is large, and the remaining bias is about as large
        again. One sample may make up most of the contribution of its class, so that each contribution has one degree of
        freedom (Satterthwaite).
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
    """Return the change [J] of log locality on leaving out each stepped sample."""
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
    r"""Locality corrected by the jackknife for the part of its bias that falls as one over the number of samples.

    $L e^{-b}$ with the jackknife's bias $b = \sum_j (n_j - 1) \operatorname{mean}_{a \in j} \log(L_{-a}/L)$ of the
    logarithm, plus the same over observed samples, []. Its standard deviation is about 1.5 times that of locality.

    Convention: with heavy tails the bias falls more slowly than 1/n; about half of it remains at n = 8.

    Examples
    --------
    >>> locality_corrected(example_pairs()).item()                # both samples of a class have equal steps
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
    r"""Standard error of locality: half the distance to the farther end of its confidence interval.

    $\max(L_+ - L, L - L_-) / 2$, []: ±2 standard errors cover the bias, too.

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
    r"""Lower end of the 95 % confidence interval of locality over draws of samples.

    $L_- = L_c \exp(-t \sqrt{2 V + 4 b^2})$, []: V the variance of log L from leaving out one stepped or observed
    sample at a time, b its bias, t the quantile of Student's t.

    Convention: covers other draws of samples on the same network, not other seeds.

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
    r"""Upper end of the 95 % confidence interval of locality over draws of samples.

    $L_+ = L_c \exp(t \sqrt{2 V + 4 b^2})$, []; see locality_lower.

    Examples
    --------
    >>> locality_upper(example_pairs()).item()
    4.0
    """
    return _ends(update)[1]
