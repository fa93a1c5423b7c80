"""The squared loss of a product of factors: unconstrained features under any number of linear layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from elastic.errors import OptionError
from elastic.theory.arguments import class_counts, listed, real_number
from elastic.theory.optimum import FactorOptimum, FloatArray
from elastic.theory.root import root


def mse_factor_model(per_class: Sequence[int], penalties: Sequence[float], bias: bool = False) -> FactorOptimum:
    r"""Return the optimum of unconstrained features under linear layers and the squared loss.

    With logits Z = F_m ⋯ F_2 F_1 [K, N] (F_1 = H the free features, the rest weights) and one-hot Y [K, N],

        min  ‖Z - Y‖²_F / 2N + Σ_i λ_i/2 ‖F_i‖²_F .

    Over all factors of a given Z the penalty is at least (m/2) c Σ_j σ_j(Z)^{2/m} with c = (Π_i λ_i)^{1/m}, and
    reaches it where λ_i σ_j(F_i)² is the same for every factor (inequality of the means). Y has the singular
    values √n_k, one a class, and by von Neumann's trace inequality Z may take its singular vectors. So every class
    is a problem of its own: s_k minimises (√n_k - s)²/2N + (m/2) c s^{2/m}. In t = s/√n_k and a = N c n_k^{1/m-1}
    that is n_k/2N · [(1 - t)² + m a t^{2/m}], with a stationary point where 1 - t = a t^{2/m-1}. From m = 3 on
    t = 0 is always a local minimum; the largest stationary point is lower if and only if t > (m-2)/(m-1), that is
    if a < (1 - t₀) t₀^{1-2/m} with t₀ = (m-2)/(m-1). For m = 2: s_k = max(√n_k - N√(λ_1λ_2), 0).

    With a bias b without a penalty, Z + b1ᵀ replaces Z. The best b is the mean over samples of
    Y - Z, which leaves ‖(Z - Y)C‖² with C = I - 11ᵀ/N. Where H becomes HC the loss stays and the penalty does not
    grow, so Z = ZC, and all is as above with YC for Y: K - 1 singular values above 0, those of diag(n) - nnᵀ/N. They
    are √n for balanced classes, whose optimum is a simplex. Biases of lower layers change nothing: they add
    another constant to the logits.

    Parameters
    ----------
    per_class
        [K] samples n_k of each class.
    penalties
        λ_i ≥ 0 of the m factors, starting with the features. If only some are 0 the optimum is a limit that no factors
        attain.
    bias
        Whether the last layer, and any others, have biases, without penalties.

    Returns
    -------
    FactorOptimum
        Loss and the K singular values of Z, in the order of ``per_class`` without bias; every layer has at least K
        units (K - 1 with biases).

    Raises
    ------
    ElasticError
        OptionError for penalties that are negative or none at all, DegenerateInput for counts that are not.

    Notes
    -----
    Two factors: Tirer and Bruna (tirer2022extended), Zhou et al. (zhou2022optimization), also with a bias; three:
    tirer2022extended; any number and imbalance: Dang et al. (dang2023deep). Tirer and Bruna write (1/2Kn)‖WH - Y‖² +
    (λ_W/2K)‖W‖² + (λ_H/2Kn)‖H‖²: here λ_1 = λ_H/Kn and λ_2 = λ_W/K, so that t = 1 - √(λ_Wλ_H).

    Examples
    --------
    Two classes of 4 samples, N = 8, c = 1/16: s = 2 - 8/16, loss 2·[(1/2)²/16 + s/16] = 7/32.

    >>> optimum = mse_factor_model([4, 4], [1/16, 1/16])
    >>> optimum.singular_values.round(12).tolist(), round(optimum.loss, 12)
    ([1.5, 1.5], 0.21875)

    With a bias one of the two is left, at half the loss:

    >>> optimum = mse_factor_model([4, 4], [1/16, 1/16], bias=True)
    >>> optimum.singular_values.round(12).tolist(), round(optimum.loss, 12)
    ([1.5, 0.0], 0.109375)

    Three factors and t = 0.9³ = 0.729: a = 0.271·0.9 = 0.2439 = N c.

    >>> mse_factor_model([1, 1], [0.12195] * 3).singular_values.round(12).tolist()
    [0.729, 0.729]
    """
    n, lambdas = class_counts(per_class), penalties_of(penalties)
    target, c, m, N = target_of(n, bias).singular_values, geometric_mean(lambdas), len(lambdas), n.sum()
    values = np.array([shrunk(sigma, N * c, m) for sigma in target])
    loss = ((target - values) ** 2 / (2 * N) + m / 2 * c * values ** (2 / m)).sum()
    return FactorOptimum(float(loss), values)


class Target(NamedTuple):
    """Target of the product of factors: singular values [K] of Y (YC with a bias) and left vectors [K, K]."""

    singular_values: FloatArray
    vectors: FloatArray


def target_of(counts: FloatArray, bias: bool) -> Target:
    """Return the decomposition of the one-hot labels for samples per class, centred for a bias.

    >>> (target_of(np.array([4.0, 12.0]), bias=True).singular_values ** 2).round(12).tolist()   # 4 + 12 - (16 + 144)/16
    [6.0, 0.0]
    """
    if not bias:
        return Target(np.sqrt(counts), np.eye(len(counts)))
    squares, vectors = np.linalg.eigh(np.diag(counts) - np.outer(counts, counts) / counts.sum())
    squares[0] = 0.0  # along (1, …, 1), up to rounding; the others are at least the smallest count
    return Target(np.sqrt(squares[::-1]), vectors[:, ::-1])


def penalties_of(penalties: Sequence[float], *, above_zero: bool = False) -> list[float]:
    """Return one number per factor.

    Raises
    ------
    OptionError
        If they are not numbers of at least 0 (or above 0), or there are none.
    """
    values = listed("penalties", penalties, "one number a factor", "[1e-3, 1e-3]")
    if not values:
        raise OptionError("`penalties`", "hold one number a factor", "none", "[1e-3, 1e-3]")
    return [real_number(f"penalties[{i}]", value, above_zero=above_zero) for i, value in enumerate(values)]


def geometric_mean(lambdas: Sequence[float]) -> float:
    """Return c = (Π_i λ_i)^{1/m}, without the product, which underflows for many small factors.

    >>> round(geometric_mean([0.01, 0.04]), 12)
    0.02
    """
    return math.exp(math.fsum(map(math.log, lambdas)) / len(lambdas)) if min(lambdas) > 0 else 0.0


def shrunk(sigma: float, strength: float, m: int) -> float:
    """Return the s that minimises (σ - s)² + m·strength·s^{2/m}; 0 where it ties with another.

    >>> shrunk(2.0, 0.5, 2), shrunk(2.0, 2.0, 2)
    (1.5, 0.0)
    """
    if sigma == 0:
        return 0.0
    a: float = strength * sigma ** (2 / m - 2)
    if m == 1:
        return sigma / (1 + a)
    if m == 2:
        return sigma * max(1 - a, 0.0)
    least = (m - 2) / (m - 1)
    if a >= (1 - least) * least ** (1 - 2 / m):
        return 0.0
    return sigma * root(lambda t: 1 - t - a * t ** (2 / m - 1), least, 1.0)
