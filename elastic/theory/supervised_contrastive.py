"""Supervised contrastive loss over free features: balanced classes in one batch."""

from __future__ import annotations

import math

from elastic.theory.arguments import real_number, whole_number
from elastic.theory.optimum import Optimum


def supervised_contrastive(classes: int, per_class: int, temperature: float) -> Optimum:
    r"""Return the optimum of the supervised contrastive loss of free features, all samples in one batch.

        min  (1/N) Σ_i −1/(n-1) Σ_{p∈P(i)} log( exp(u_i·u_p/τ) / Σ_{a≠i} exp(u_i·u_a/τ) ) ,   N = K n,   u = h/‖h‖,

    P(i) the other n - 1 samples of i's class, is log(n-1 + n(K-1) exp(-K/((K-1)τ))): each class in one point, the
    points a simplex. Proof: let P_i and Q_i be the mean similarities u_i·u_a/τ to own and to other classes. By
    convexity of the exponential ℓ_i ≥ log(n-1 + n(K-1) exp(Q_i - P_i)), which is also convex, so that the mean
    loss is at least the same function of the means P, Q. From ‖Σ u‖² ≥ 0 follows 1/τ + (n-1)P + n(K-1)Q ≥ 0, and with
    P ≤ 1/τ then Q - P ≥ -(1/τ)(1 + 1/(K-1)). At the simplex all of these are equalities.

    Parameters
    ----------
    classes
        K ≥ 2.
    per_class
        Samples n ≥ 2 of each class.
    temperature
        τ, positive.

    Returns
    -------
    Optimum
        Loss in nats; for features of K-1 dimensions or more.

    Raises
    ------
    ElasticError
        OptionError for a temperature that is not positive, DegenerateInput for fewer than two classes or samples.

    Notes
    -----
    Graf et al. (graf2021dissecting); the loss: Khosla et al. (khosla2020supervised).

    Examples
    --------
    Two classes of two samples at 1 and −1, τ = 1: of the others, one is at cosine 1 and two are at −1.

    >>> math.isclose(supervised_contrastive(2, 2, 1.0).loss, math.log((math.e + 2 / math.e) / math.e))
    True
    """
    K = whole_number("classes", classes, least=2)
    n = whole_number("per_class", per_class, least=2)
    tau = real_number("temperature", temperature, above_zero=True)
    others = n * (K - 1) * math.exp(-K / ((K - 1) * tau))
    return Optimum(math.log(n - 1) + math.log1p(others / (n - 1)))
