"""Minority collapse: how rare classes have to be for their classifiers to become one."""

from __future__ import annotations

import math
from typing import NamedTuple

from elastic.errors import DegenerateInput
from elastic.theory.arguments import real_number, whole_number
from elastic.theory.root import root


def minority_collapse_count(total: int, lambda_w: float, lambda_h: float) -> float:
    r"""Return the samples per class up to which minority classifiers coincide, under cross-entropy with penalties.

    In (1/N) Σ_i CE(W h_i + b, y_i) + λ_W/2 ‖W‖² + λ_H/2 ‖H‖² the penalties of Z = WH are √(λ_Wλ_H) ‖Z‖_*, the sum
    of its singular values. Let two or more classes have n_B samples each. Where their rows of Z coincide, the
    gradient of the mean loss is -1/N on the contrasts between them, each a pattern of norm √n_B over samples; they
    stay 0 at the optimum if and only if √n_B/N ≤ √(λ_Wλ_H). So n_B = N² λ_W λ_H, whatever the other classes are.

    Parameters
    ----------
    total
        All samples N, of all classes.
    lambda_w, lambda_h
        Penalties of weights and features, 0 or more.

    Returns
    -------
    float
        The count, as a real number.

    Raises
    ------
    ElasticError
        OptionError for negative penalties, DegenerateInput for no samples.

    Notes
    -----
    Hong and Ling (hong2024imbalanced).

    Examples
    --------
    >>> round(minority_collapse_count(100, 0.02, 0.02), 12)     # (100 · 0.02)²
    4.0
    """
    N = whole_number("total", total, least=1)
    return N**2 * real_number("lambda_w", lambda_w) * real_number("lambda_h", lambda_h)


def minority_collapse_ratio(classes: int, majority_classes: int, e_h: float, e_w: float) -> float:
    r"""Return R₀, the ratio of samples n_A/n_B from which on minority classifiers coincide in the layer-peeled model.

    K_A majority classes have n_A = R n_B samples each, the K_B = K - K_A minority classes n_B. The semidefinite
    programme of `layer_peeled_imbalanced` amounts to min Σ_k (n_k/N) CE(z_k) over class logits with
    ‖Z‖_* ≤ K√(E_H E_W). It is convex and symmetric within both groups, and the columns of Z sum to 0, so that the
    optimum has three singular values: a among the majority (K_A - 1 times), c among the minority (K_B - 1 times)
    and one between the groups, whose two sides (v, w) make √(v² + w²). Classifiers of the minority coincide where
    c = 0. There the loss pulls at c with n_B/N, and c stays 0 if and only if that is no more than the multiplier
    of the constraint. At R₀ both are equal, and the other stationarity conditions give all probabilities in
    terms of R and of the angle tan θ = w/v, then a, v and w as their logarithms: one equation for θ given R,
    and (K_A - 1)a + √(v² + w²) = K√(E_H E_W) for R. Both are solved by Brent's method; no programme is run.

    Parameters
    ----------
    classes
        K ≥ 3.
    majority_classes
        K_A, from 1 to K - 2.
    e_h, e_w
        Bounds E_H and E_W, 0 or more.

    Returns
    -------
    float
        R₀ ≥ 1. It grows with E_H E_W (at 0 nothing is separable, and R₀ = 1), about exponentially in
        √(E_H E_W); infinite where it exceeds 1e300.

    Raises
    ------
    ElasticError
        OptionError for negative bounds; DegenerateInput for numbers of classes with fewer than two minority classes.

    Notes
    -----
    Fang et al. (fang2021exploring) prove that minority classifiers coincide as R → ∞ and show R₀ by experiments.

    Examples
    --------
    Under the bounds that allow a total of ‖Z‖_* = K√(E_H E_W) = 0, no ratio is too small:

    >>> minority_collapse_ratio(4, 2, 0.0, 0.0)
    1.0
    """
    K = whole_number("classes", classes, least=3)
    K_A = whole_number("majority_classes", majority_classes, least=1)
    if K_A > K - 2:
        raise DegenerateInput("`majority_classes`", "leave at least 2 classes", f"{K_A} of {K}", str(K - 2))
    total = K * math.sqrt(real_number("e_h", e_h) * real_number("e_w", e_w))
    if total == 0:
        return 1.0

    def excess(log_ratio: float) -> float:
        return _threshold_of(K_A, K - K_A, log_ratio) - total

    largest = math.log(1e300)
    if excess(largest) < 0:
        return math.inf
    return math.exp(root(excess, 0.0, largest))


class _Spectrum(NamedTuple):
    """Singular values of the class logits where c = 0: a among the majority, v and w between the groups."""

    a: float
    v: float
    w: float


def _threshold_of(K_A: int, K_B: int, log_ratio: float) -> float:
    """Return ‖Z‖_* of the optimum at which minority classifiers begin to differ, at the ratio R = e^log_ratio."""
    if log_ratio <= 0:
        return 0.0

    def turn(theta: float) -> float:
        _, v, w = _spectrum(K_A, K_B, log_ratio, theta)
        return w * math.cos(theta) - v * math.sin(theta)

    # From all weight on the majority's side (w infinite) to where the minority's logits are all equal (w = 0).
    theta = root(turn, 1e-12, math.asin(math.sqrt(K_A / (K_A + K_B))))
    a, v, w = _spectrum(K_A, K_B, log_ratio, theta)
    return (K_A - 1) * a + math.hypot(v, w)


def _spectrum(K_A: int, K_B: int, log_ratio: float, theta: float) -> _Spectrum:
    r"""Return the singular values from the stationarity conditions, the multiplier being n_B/N.

    A majority sample gives each minority class the probability e/(R K_B), each other majority class
    (1 - e)/(R K_A), with e = cos θ √(K_B/K); a minority sample gives the majority f = sin θ √(K_A/K) in all.
    """
    K = K_A + K_B
    inverse = math.exp(-log_ratio)
    e, f = math.cos(theta) * math.sqrt(K_B / K), math.sin(theta) * math.sqrt(K_A / K)
    own = math.log1p(-inverse * (1 - (1 - e) / K_A))
    a = own + log_ratio - math.log((1 - e) / K_A)
    to_minority = own + log_ratio - math.log(e / K_B)
    to_majority = math.log((1 - f) / K_B) - math.log(f / K_A)
    v = (to_minority - a * (1 - 1 / K_A)) * K_A * math.sqrt(K_B / K)
    return _Spectrum(a, v, to_majority * K_B * math.sqrt(K_A / K))
