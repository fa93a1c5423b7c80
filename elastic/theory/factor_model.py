"""The squared loss of a product of factors: unconstrained features under any number of linear layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from elastic.errors import OptionError
from elastic.theory.arguments import class_counts, listed, real_number
from elastic.theory.optimum import FactorOptimum
from elastic.theory.root import root


def mse_factor_model(per_class: Sequence[int], penalties: Sequence[float]) -> FactorOptimum:
    r"""Return the optimum of unconstrained features under linear layers and the squared loss, without bias.

    With logits Z = F_m ⋯ F_2 F_1 [K, N] (F_1 = H the free features, the rest weights) and one-hot Y [K, N],

        min  ‖Z - Y‖²_F / 2N + Σ_i λ_i/2 ‖F_i‖²_F .

    Over all factors of a given Z the penalty is at least (m/2) c Σ_j σ_j(Z)^{2/m} with c = (Π_i λ_i)^{1/m}, and
    reaches it where λ_i σ_j(F_i)² is the same for every factor (inequality of the means). Y has the singular
    values √n_k, one a class, and by von Neumann's trace inequality Z may take its singular vectors. So every class
    is a problem of its own: s_k minimises (√n_k - s)²/2N + (m/2) c s^{2/m}. In t = s/√n_k and a = N c n_k^{1/m-1}
    that is n_k/2N · [(1 - t)² + m a t^{2/m}], with a stationary point where 1 - t = a t^{2/m-1}. From m = 3 on
    t = 0 is a local minimum always; the largest stationary point is lower if and only if t > (m-2)/(m-1), that is
    if a < (1 - t₀) t₀^{1-2/m} with t₀ = (m-2)/(m-1). For m = 2: s_k = max(√n_k - N√(λ_1λ_2), 0).

    Parameters
    ----------
    per_class
        [K] samples n_k of each class.
    penalties
        λ_i ≥ 0 of the m factors, the features' first. If only some are 0 the optimum is a limit that no factors
        reach.

    Returns
    -------
    FactorOptimum
        Loss and the K singular values of Z, in the order of ``per_class``; every layer has at least K units.

    Raises
    ------
    ElasticError
        OptionError for penalties that are negative or none at all, DegenerateInput for counts that are not.

    Notes
    -----
    Two factors: Tirer and Bruna (tirer2022extended), Zhou et al. (zhou2022optimization); three: tirer2022extended;
    any number and imbalance: Dang et al. (dang2023deep). Tirer and Bruna write (1/2Kn)‖WH - Y‖² + (λ_W/2K)‖W‖² +
    (λ_H/2Kn)‖H‖²: here λ_1 = λ_H/Kn and λ_2 = λ_W/K, so that t = 1 - √(λ_Wλ_H).

    Examples
    --------
    Two classes of 4 samples, N = 8, c = 1/16: s = 2 - 8/16, loss 2·[(1/2)²/16 + s/16] = 7/32.

    >>> optimum = mse_factor_model([4, 4], [1/16, 1/16])
    >>> optimum.singular_values.round(12).tolist(), round(optimum.loss, 12)
    ([1.5, 1.5], 0.21875)

    Three factors and t = 0.9³ = 0.729: a = 0.271·0.9 = 0.2439 = N c.

    >>> mse_factor_model([1, 1], [0.12195] * 3).singular_values.round(12).tolist()
    [0.729, 0.729]
    """
    n = class_counts(per_class)
    values = listed("penalties", penalties, "one number a factor", "[1e-3, 1e-3]")
    if not values:
        raise OptionError("`penalties`", "hold one number a factor", "none", "[1e-3, 1e-3]")
    lambdas = [real_number(f"penalties[{i}]", value) for i, value in enumerate(values)]
    m, N = len(lambdas), float(n.sum())
    # Not the root of the product: that underflows where many small penalties do not.
    c = math.exp(math.fsum(map(math.log, lambdas)) / m) if min(lambdas) > 0 else 0.0
    strength = N * c * n ** (1 / m - 1)
    t = np.array([_shrunk(a, m) for a in strength])
    loss = n / (2 * N) @ ((1 - t) ** 2 + m * strength * t ** (2 / m))
    return FactorOptimum(float(loss), t * np.sqrt(n))


def _shrunk(a: float, m: int) -> float:
    """Return the minimiser t in [0, 1] of (1 - t)² + m a t^{2/m}; 0 where it ties with another."""
    if m == 1:
        return 1 / (1 + a)
    if m == 2:
        return max(1 - a, 0.0)
    least = (m - 2) / (m - 1)
    if a >= (1 - least) * least ** (1 - 2 / m):
        return 0.0
    return root(lambda t: 1 - t - a * t ** (2 / m - 1), least, 1.0)
