"""Cross-entropy over unconstrained features with penalties: balanced classes, smoothed or hard labels."""

from __future__ import annotations

import math

from elastic.theory.arguments import real_number, whole_number
from elastic.theory.optimum import CrossEntropyOptimum


def cross_entropy_ufm(
    classes: int, per_class: int, lambda_w: float, lambda_h: float, smoothing: float = 0.0
) -> CrossEntropyOptimum:
    r"""Return the optimum of the balanced unconstrained-features model under cross-entropy.

        min  (1/N) Σ_i CE(W h_i, q_i) + λ_W/2 ‖W‖²_F + λ_H/2 ‖H‖²_F ,   N = K n,

    with targets q = (1 - δ) e_y + δ/K, with or without a free bias. The penalties of a given Z = WH are at least
    √(λ_Wλ_H) ‖Z‖_* (the sum of singular values), which makes the problem convex in Z; as it is symmetric in the
    classes, Z = α (I - 11ᵀ/K) Y for some gap α: a simplex. Then ‖Z‖_* = α√n(K-1), and with τ = √(nλ_Wλ_H) + δ/K

        f(α) = log(1 + (K-1)e^{-α}) + (K-1) τ α

    is least at α = log(1/τ - (K-1)), where f = -log(1 - (K-1)τ) + (K-1) τ α; at α = 0, f = log K, if τ ≥ 1/K.

    Parameters
    ----------
    classes
        K ≥ 2.
    per_class
        Samples n of each class.
    lambda_w, lambda_h
        Penalties of the weights and of the features, at least 0. If one of them is 0 the optimum is a limit that
        no weights attain; the gap is infinite without smoothing.
    smoothing
        δ in [0, 1].

    Returns
    -------
    CrossEntropyOptimum
        Loss in nats, and the gap α; for features of K-1 dimensions or more.

    Raises
    ------
    ElasticError
        OptionError for numbers outside their range, DegenerateInput for fewer than two classes or no samples.

    Notes
    -----
    Zhu et al. (zhu2021geometric); label smoothing: Zhou et al. (zhou2022losses).

    Examples
    --------
    Two classes of one sample, τ = 1/10: α = log 9, and the right class has probability 0.9.

    >>> optimum = cross_entropy_ufm(2, 1, 0.1, 0.1)
    >>> round(math.exp(optimum.logit_gap), 12)
    9.0
    >>> math.isclose(optimum.loss, -math.log(0.9) + 0.1 * math.log(9))
    True
    """
    K = whole_number("classes", classes, least=2)
    n = whole_number("per_class", per_class, least=1)
    w, h = real_number("lambda_w", lambda_w), real_number("lambda_h", lambda_h)
    tau = math.sqrt(n * w * h) + real_number("smoothing", smoothing, most=1) / K
    if tau >= 1 / K:
        return CrossEntropyOptimum(math.log(K), 0.0)
    if tau == 0:
        return CrossEntropyOptimum(0.0, math.inf)
    gap = math.log(1 / tau - (K - 1))
    return CrossEntropyOptimum(-math.log1p(-(K - 1) * tau) + (K - 1) * tau * gap, gap)
