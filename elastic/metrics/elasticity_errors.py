"""Standard errors and confidence intervals of responses and relative similarities over draws of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.elasticity import relative_similarity, response
from elastic.metrics.jackknife import Interval, interval_of, responses, similarities
from elastic.metrics.update import PAIR_OF_CLASSES, UpdateResponse, example_pairs, example_update, not_zero, once

__all__ = ["example_pairs", "example_update"]

PER_LR = "feature per unit learning rate"


@once
def _of_response(update: UpdateResponse) -> Interval:
    return interval_of(update, responses(update))


@once
def _of_similarity(update: UpdateResponse) -> Interval:
    own = update.own_norms / not_zero(update.over_stepped(update.own_norms))[update.stepped] - 1
    return interval_of(update, similarities(update), own.nan_to_num(nan=0.0))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="response * (exp(V/2 + t * sqrt(V)) - 1) / 2, V the moderated two-way jackknife variance of log response",
    units=PER_LR,
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def response_stderr(update: UpdateResponse) -> Tensor:
    r"""Standard error of the response over draws of stepped and of observed samples.

    $R (e^{V/2 + t \sqrt V} - 1) / 2$ with V the variance of log R from leaving out one stepped or one observed sample
    at a time, averaged with that of all classes of the layer, and t the quantile of Student's t
    (`elastic.metrics.jackknife`); [K, K], NaN with fewer than two stepped or observed samples. For light tails it
    agrees with the usual standard error (`response_stderr_clustered`).

    Convention: larger than usual if one sample makes up most of the response, so that ±2 standard errors cover the mean
    over all samples.

    Examples
    --------
    >>> response_stderr(example_update())[0].tolist()         # needs two stepped samples
    [nan, nan]
    >>> response_stderr(example_pairs()).tolist()             # all samples of a class move alike
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return _of_response(update).stderr(response(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="response * exp(min(V/2 - t * sqrt(V), 0)), V the moderated two-way jackknife variance of log response",
    units=PER_LR,
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def response_lower(update: UpdateResponse) -> Tensor:
    r"""Lower end of the 95 % confidence interval of the response over draws of samples.

    $R \exp(V/2 - t \sqrt V)$, [K, K]; V and t as of response_stderr. The shift V/2 is that of a lognormal mean: the
    mean of few skewed values tends to lie below the mean of many.

    Convention: never above the response.

    Examples
    --------
    >>> response_lower(example_pairs())[0].tolist()
    [4.0, 1.0]
    """
    return _of_response(update).lower(response(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="response * exp(V/2 + t * sqrt(V)), V the moderated two-way jackknife variance of log response",
    units=PER_LR,
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def response_upper(update: UpdateResponse) -> Tensor:
    r"""Upper end of the 95 % confidence interval of the response over draws of samples.

    $R \exp(V/2 + t \sqrt V)$, [K, K]; see response_lower.

    Examples
    --------
    >>> response_upper(example_pairs())[0].tolist()
    [4.0, 1.0]
    """
    return _of_response(update).upper(response(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="relative_similarity * (exp(V/2 + t * sqrt(V)) - 1) / 2, V the variance of log relative_similarity",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def relative_similarity_stderr(update: UpdateResponse) -> Tensor:
    r"""Standard error of the relative similarity over draws of stepped and of observed samples.

    $S (e^{V/2 + t \sqrt V} - 1) / 2$, [K, K]; V as in response_stderr; leaving out a stepped sample changes both
    response and self-response.

    Examples
    --------
    >>> relative_similarity_stderr(example_pairs())[0].tolist()
    [0.0, 0.0]
    """
    return _of_similarity(update).stderr(relative_similarity(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="relative_similarity * exp(min(V/2 - t * sqrt(V), 0)), V as of relative_similarity_stderr",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def relative_similarity_lower(update: UpdateResponse) -> Tensor:
    r"""Lower end of the 95 % confidence interval of the relative similarity over draws of samples.

    $S \exp(V/2 - t \sqrt V)$, [K, K].

    Convention: never above the relative similarity.

    Examples
    --------
    >>> relative_similarity_lower(example_pairs())[0].tolist()
    [0.5, 0.125]
    """
    return _of_similarity(update).lower(relative_similarity(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="relative_similarity * exp(V/2 + t * sqrt(V)), V as of relative_similarity_stderr",
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def relative_similarity_upper(update: UpdateResponse) -> Tensor:
    r"""Upper end of the 95 % confidence interval of the relative similarity over draws of samples.

    $S \exp(V/2 + t \sqrt V)$, [K, K].

    Examples
    --------
    >>> relative_similarity_upper(example_pairs())[0].tolist()
    [0.5, 0.125]
    """
    return _of_similarity(update).upper(relative_similarity(update))


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="sqrt(V_stepped + V_observed - V_pair), clustered by stepped and by observed sample",
    units=PER_LR,
    bounds=(0.0, None),
    dims=PAIR_OF_CLASSES,
)
def response_stderr_clustered(update: UpdateResponse) -> Tensor:
    r"""Standard error of the response from sample variances, clustered by stepped and by observed sample.

    The n_j·n_k pairs are not independent: those that share a sample are correlated. With residuals e of the pairs,
    $V = c_j\sum_a(\sum_m e_{am})^2 + c_k\sum_m(\sum_a e_{am})^2 - c_{jk}\sum_{am}e_{am}^2$, each over the squared
    number of pairs and with c = n/(n−1) clusters; [K, K], NaN with fewer than two stepped or observed samples.

    Convention: at least the larger of the two clustered terms. Too small if one sample makes up most of the response:
    ±2 standard errors then cover the mean in only half of the cases (see response_stderr).

    Examples
    --------
    >>> response_stderr_clustered(example_update())[0].tolist()
    [nan, nan]
    """
    rows, columns = update.members(update.stepped), update.members(update.observed)
    counted = update.counted.double()
    pairs = not_zero(rows.T @ counted @ columns)
    mean = rows @ (update.over_pairs(update.norms).nan_to_num() @ columns.T)
    residual = (update.norms - mean) * counted
    stepped = rows.sum(0)[:, None].expand(pairs.shape)
    observed = columns.sum(0)[None, :].expand(pairs.shape)
    by_stepped = rows.T @ (residual @ columns).square() * stepped / not_zero(stepped - 1)
    by_observed = (rows.T @ residual).square() @ columns * observed / not_zero(observed - 1)
    by_pair = rows.T @ residual.square() @ columns * pairs / not_zero(pairs - 1)
    larger = torch.maximum(by_stepped, by_observed)
    return torch.maximum(by_stepped + by_observed - by_pair, larger).sqrt() / pairs


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="(sum over a in j of |Δ(a;a)|)² / sum over a in j of |Δ(a;a)|²",
    bounds=(0.0, None),
    dims=("stepped_class",),
)
def effective_samples(update: UpdateResponse) -> Tensor:
    r"""Effective number of stepped samples of each class: 1 if a single sample makes up its self-response.

    $(\sum_{a \in j} \lVert \Delta(a;a) \rVert)^2 / \sum_{a \in j} \lVert \Delta(a;a) \rVert^2$, [K], between 1 and the
    number of stepped samples: that many samples of equal movement have a mean of the same relative variance.

    Examples
    --------
    >>> effective_samples(example_pairs()).tolist()
    [2.0, 2.0]
    """
    rows = update.members(update.stepped)
    scaled = update.own_norms / not_zero(update.over_stepped(update.own_norms))[update.stepped]
    scaled = scaled.nan_to_num(nan=0.0)
    return (rows.T @ scaled).square() / not_zero(rows.T @ scaled.square())
