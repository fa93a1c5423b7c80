r"""Standard errors of means over pairs of samples whose movements have heavy tails: a jackknife on the log scale.

Late in training one sample of eight may carry most of the movement of its class. The sample variance of eight such
movements is usually too small, most of all when the mean is too small as well, so that ±2 standard errors miss the mean
of many draws in up to half of the cases. Three corrections are made:

- *Log scale.* The variance is that of the logarithm, found by leaving out each stepped and each observed sample in
  turn: $V = \frac{n-1}{n} \sum_i (l_i - \bar l)^2$ with $l_i$ the logarithm without sample i, by stepped and by
  observed samples, minus the contribution of single pairs, which both contain (two-way clustering).
- *Moderation.* Classes of one layer have similar tails. Each class's variance times its number of samples is averaged
  with that of all classes, weighted with n − 1 and with the degrees of freedom of the other classes, `PRIOR` at most.
- *Skewness.* The mean of few skewed values lies below the mean of many: as for a lognormal mean, the interval is
  shifted by V/2, $R \exp(V/2 \pm t \sqrt V)$, t the quantile of Student's t.

A standard error in this module is half the distance from R to the upper end of its interval. For light tails it agrees
with the usual one; otherwise R ± 2 standard errors contain the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy
import torch
from torch import Tensor

from elastic.metrics.update import UpdateResponse, not_zero, once

#: Largest number of degrees of freedom of the variance pooled over classes, relative to those of one class.
PRIOR = 30
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Confidence interval of an estimate on the log scale.

    Attributes
    ----------
    variance
        Variance of the logarithm of the estimate.
    reach
        t·√variance: half the length of the interval of the logarithm.
    """

    variance: Tensor
    reach: Tensor

    def stderr(self, estimate: Tensor) -> Tensor:
        """Return half the distance from the estimate to the upper end, which is the farther one."""
        return estimate * torch.expm1(self.variance / 2 + self.reach) / 2

    def lower(self, estimate: Tensor) -> Tensor:
        """Return the lower end, never above the estimate."""
        return estimate * torch.exp((self.variance / 2 - self.reach).clamp(max=0))

    def upper(self, estimate: Tensor) -> Tensor:
        """Return the upper end."""
        return estimate * torch.exp(self.variance / 2 + self.reach)


@dataclass(frozen=True)
class LeftOut:
    """Means over the pairs of two classes: of all samples, and without one of them.

    Attributes
    ----------
    whole
        [K, K] of all samples.
    stepped
        [J, K] without a stepped sample of its class.
    observed
        [K, M] without an observed sample of its class.
    """

    whole: Tensor
    stepped: Tensor
    observed: Tensor


@once
def responses(update: UpdateResponse) -> LeftOut:
    """Return the responses of all samples and without each of them; NaN where no pair remains.

    >>> from elastic.metrics.update import example_update
    >>> found = responses(example_update())                  # movements 3 and 5 of class 0, 1 of class 1
    >>> found.observed[0].tolist()
    [5.0, 3.0, nan]
    """
    rows, columns = update.members(update.stepped), update.members(update.observed)
    counted = update.counted.double()
    norms = torch.where(update.counted, update.norms, 0.0)
    of_stepped, of_observed = norms @ columns, rows.T @ norms
    total, pairs = rows.T @ of_stepped, rows.T @ counted @ columns
    left_stepped = pairs[update.stepped] - counted @ columns
    left_observed = pairs[:, update.observed] - rows.T @ counted
    return LeftOut(
        total / not_zero(pairs),
        (total[update.stepped] - of_stepped).clamp(min=0) / not_zero(left_stepped),
        (total[:, update.observed] - of_observed).clamp(min=0) / not_zero(left_observed),
    )


@once
def similarities(update: UpdateResponse) -> LeftOut:
    """Return the relative similarities of all samples and without each of them."""
    rows, moved = update.members(update.stepped), responses(update)
    count, total = rows.sum(0), rows.T @ update.own_norms
    own = total / not_zero(count)
    left = (total[update.stepped] - update.own_norms).clamp(min=0) / not_zero(count[update.stepped] - 1)
    return LeftOut(
        moved.whole / not_zero(own)[:, None],
        moved.stepped / not_zero(left)[:, None],
        moved.observed / not_zero(own)[:, None],
    )


def interval_of(update: UpdateResponse, means: LeftOut, own: Tensor | None = None) -> Interval:
    """Return the interval of each pair of classes [K, K]; NaN with fewer than two stepped or observed samples.

    Parameters
    ----------
    update
        Movements of the samples.
    means
        The result of `responses` or `similarities`.
    own
        [J] relative deviation of each stepped sample's own movement from the mean that responses are divided by; None
        if they are not divided.

    Examples
    --------
    Two equal steps, and two observed samples that move by 1 and 3: leaving out one of these changes the mean from 2 to
    3 or 1, and V = (log 3)²/4.

    >>> ones = torch.ones(2, 2, dtype=torch.float64)
    >>> moved = torch.tensor([[1.0, 3.0], [1.0, 3.0]], dtype=torch.float64)
    >>> same = torch.zeros(2, dtype=torch.int64)
    >>> update = UpdateResponse(1, same, same, ones.bool(), moved, moved, ones[0], *[ones[:, :1]] * 4, ones[0])
    >>> round(interval_of(update, responses(update)).variance.item(), 4)
    0.3017
    """
    rows, columns = update.members(update.stepped), update.members(update.observed)
    stepped, observed = rows.sum(0), columns.sum(0)
    known = means.whole > 0
    by_stepped = _variance(means.stepped / not_zero(means.whole)[update.stepped], update.stepped, stepped)
    by_observed = _variance((means.observed / not_zero(means.whole)[:, update.observed]).T, update.observed, observed).T
    by_stepped = _moderated(by_stepped, stepped[:, None], known)
    by_observed = _moderated(by_observed, observed[None, :], known)
    both = by_stepped + by_observed - _of_pairs(update, rows, columns, own)
    variance = torch.maximum(both, torch.maximum(by_stepped, by_observed))
    variance = torch.where(known, variance, torch.where(means.whole == 0, 0.0, torch.nan))
    variance[:, observed < 2], variance[stepped < 2] = torch.nan, torch.nan
    fewest = torch.minimum(stepped[:, None], observed[None, :])
    others = torch.minimum((stepped - 1).clamp(min=0).sum(), (observed - 1).clamp(min=0).sum()) - (fewest - 1)
    freedom = fewest - 1 + others.clamp(0, PRIOR)
    return Interval(variance, quantile(freedom) * variance.sqrt())


def _variance(ratios: Tensor, labels: Tensor, count: Tensor) -> Tensor:
    """Return the jackknife variance [K, …] of logarithms of ratios [n, …]: means without each sample over that of all.

    If one sample makes up all of its class but a rounding error, the logarithm without it is not finite: ratios are at
    least 1/n², for n samples of the class.
    """
    least = count[labels].square().reciprocal().reshape(-1, *[1] * (ratios.ndim - 1))
    logs = torch.maximum(ratios, least).log().nan_to_num(nan=0.0)
    rows = torch.nn.functional.one_hot(labels, len(count)).to(logs.dtype)
    share = count.clamp(min=1)[:, None]
    residual = logs - (rows.T @ logs / share)[labels]
    return rows.T @ residual.square() * (share - 1) / share


def _moderated(variance: Tensor, count: Tensor, known: Tensor) -> Tensor:
    """Return variances [K, K] averaged with that of all classes; ``count`` is the number of samples of each class."""
    freedom = ((count - 1).clamp(min=0) * known).expand(variance.shape)
    each = variance * count
    whole = (freedom * each).sum() / freedom.sum().clamp(min=1)
    others = ((count - 1).clamp(min=0).sum() - (count - 1)).clamp(0, PRIOR)
    return (freedom * each + others * whole) / (freedom + others).clamp(min=1) / count.clamp(min=1)


def _of_pairs(update: UpdateResponse, rows: Tensor, columns: Tensor, own: Tensor | None) -> Tensor:
    """Return the variance [K, K] that the mean would have for independent pairs, relative to the squared mean."""
    counted = update.counted.double()
    pairs = rows.T @ counted @ columns
    mean = rows @ (update.over_pairs(update.norms).nan_to_num() @ columns.T)
    relative = torch.where(update.counted, update.norms / not_zero(mean) - 1, 0.0).nan_to_num(nan=0.0)
    if own is not None:
        relative = (relative - own[:, None]) * counted
    return rows.T @ relative.square() @ columns / not_zero(pairs * (pairs - 1))


def quantile(freedom: Tensor) -> Tensor:
    """Return the quantile of Student's t for a two-sided interval of 95 %.

    >>> quantile(torch.tensor([1.0, 30.0])).numpy().round(2).tolist()
    [12.71, 2.04]
    """
    quantiles = scipy.special.stdtrit(freedom.clamp(min=1).cpu().numpy(), (1 + LEVEL) / 2)
    return torch.as_tensor(quantiles, dtype=torch.float64, device=freedom.device)
