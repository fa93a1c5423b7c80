"""Cross-entropy over unconstrained features under several linear layers, where low rank beats full collapse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from elastic.errors import DegenerateInput, OptionError
from elastic.theory.arguments import listed, whole_number
from elastic.theory.factor_model import geometric_mean, penalties_of
from elastic.theory.optimum import FloatArray, Optimum
from elastic.theory.root import root

#: Scales of the logits at which local minima are searched, before each is refined: the loss of a class at scale 1e4
#: is below the smallest float64.
SCALES = np.geomspace(1e-6, 1e4, 4001)


@dataclass(frozen=True, eq=False)
class CodeOptimum(Optimum):
    """The best scale of logits of a given direction, under cross-entropy and the penalties of several factors.

    Attributes
    ----------
    scale
        α, by which the direction is multiplied; 0 if zero logits are better.
    singular_values
        [K] of the matrix Z of logits of all samples [K, N], in descending order.
    rank
        Number of positive ones.
    """

    scale: float
    singular_values: FloatArray
    rank: int


def deep_cross_entropy_ufm(
    classes: int, per_class: int, penalties: Sequence[float], group: int | None = None
) -> CodeOptimum:
    r"""Return the best solution of a family between full collapse and low rank, balanced classes and no bias.

    With logits Z = F_m ⋯ F_2 F_1 [K, N] (F_1 = H the free features, the rest weights) the objective is

        (1/N) Σ_i CE(z_i, y_i) + Σ_i λ_i/2 ‖F_i‖²_F .

    The classes are divided into K/g groups of g. Each group is a simplex, and different groups are orthogonal:
    z_k has α at class k, -α/(g-1) at the others of its group, 0 elsewhere. The rank is K - K/g. With g = K this is
    full collapse; with g = 2 classes are antipodal pairs, of rank K/2. See `deep_cross_entropy_code`, of which this is
    the case of that code.

    Parameters
    ----------
    classes
        K ≥ 2.
    per_class
        Samples n of each class.
    penalties
        λ_i > 0 of the m factors, starting with the features.
    group
        g, a divisor of K and at least 2; K by default.

    Returns
    -------
    CodeOptimum
        Loss in nats, with the penalties; for layers of K - K/g units or more. It is the least loss of this family, not
        of the model: for m ≥ 3 codes of other ranks can be lower.

    Raises
    ------
    ElasticError
        OptionError for a group that does not divide the classes, or penalties that are not above 0; DegenerateInput for
        fewer than two classes or no samples.

    Notes
    -----
    Garrod and Keating (garrod2025persistence): full collapse is not optimal for K ≥ 4 from three weight layers on
    (m = 4), and for K ≥ 6 from two on (m = 3).

    Examples
    --------
    Ten classes, three weight layers: antipodal pairs are better than full collapse.

    >>> collapse = deep_cross_entropy_ufm(10, 5, [2**-10] * 4)
    >>> pairs = deep_cross_entropy_ufm(10, 5, [2**-10] * 4, group=2)
    >>> round(collapse.loss, 7), collapse.rank, round(pairs.loss, 7), pairs.rank
    (0.0769484, 9, 0.0609208, 5)

    Two classes, m = 2 and τ = 1/10 as in `cross_entropy_ufm`: there the gap 2α is log 9.

    >>> optimum = deep_cross_entropy_ufm(2, 1, [0.1, 0.1])
    >>> round(math.exp(2 * optimum.scale), 9)
    9.0
    """
    K = whole_number("classes", classes, least=2)
    g = K if group is None else whole_number("group", group, least=2)
    if K % g:
        divisors = ", ".join(str(size) for size in range(2, K + 1) if K % size == 0)
        raise OptionError("`group`", f"divide the {K} classes", str(g), divisors)
    simplex = (g * np.eye(g) - 1) / (g - 1)
    return _best_scale(np.kron(np.eye(K // g), simplex).astype(np.float64), per_class, penalties)


def deep_cross_entropy_code(code: Sequence[Sequence[float]], per_class: int, penalties: Sequence[float]) -> CodeOptimum:
    r"""Return the best scale of a given code, under cross-entropy and the penalties of m factors.

    A code has one vector for each class, c_1 … c_K in R^r. Logits are z_k = α (c_1·c_k, …, c_K·c_k) for every sample of
    class k, of rank r or less. Over all factors of Z the penalty is at least (m/2) c Σ_j σ_j(Z)^{2/m} with
    c = (Π_i λ_i)^{1/m}, which is reached where λ_i σ_j(F_i)² is the same for every factor. With D the matrix of the
    c_j·c_k and σ_j(Z) = α√n σ_j(D), a problem in one variable remains:

        min over α ≥ 0 of  (1/K) Σ_k log Σ_j exp(α (D_jk - D_kk)) + (m/2) c n^{1/m} Σ_j σ_j(D)^{2/m} α^{2/m} .

    For m ≥ 3, α = 0 is always a local minimum; the least of all local minima is returned.

    Parameters
    ----------
    code
        [r, K] numbers, one column per class, not all 0.
    per_class
        Samples n of each class.
    penalties
        λ_i > 0 of the m factors, starting with the features.

    Returns
    -------
    CodeOptimum
        Loss in nats, with the penalties; for layers of r units or more.

    Raises
    ------
    ElasticError
        OptionError for a code that is not a matrix of finite numbers or is 0, and penalties that are not positive;
        DegenerateInput for fewer than two classes or no samples.

    Notes
    -----
    The Schatten form of the penalties is that of `mse_factor_model`; garrod2025persistence uses it under
    cross-entropy.

    Examples
    --------
    Two classes at ±1, the code of `deep_cross_entropy_ufm` for two classes:

    >>> deep_cross_entropy_code([[1, -1]], 1, [0.1, 0.1]).loss == deep_cross_entropy_ufm(2, 1, [0.1, 0.1]).loss
    True

    Ten classes in the plane need a larger scale than antipodal pairs, and are worse with these penalties:

    >>> angles = 2 * np.pi * np.arange(10) / 10
    >>> plane = deep_cross_entropy_code([np.cos(angles), np.sin(angles)], 5, [2**-10] * 4)
    >>> plane.rank, plane.loss > 0.0609208
    (2, True)
    """
    try:
        columns = np.array(listed("code", code, "rows of numbers", "[[1, -1]]"), dtype=np.float64)
    except (TypeError, ValueError):
        columns = np.empty(0)
    if columns.ndim != 2 or not np.isfinite(columns).all() or not columns.any():
        raise OptionError("`code`", "be a matrix of finite numbers, not all 0", repr(code), "[[1, -1]]")
    if columns.shape[1] < 2:
        raise DegenerateInput("`code`", "have a column for each of at least 2 classes", "1 column", "[[1, -1]]")
    return _best_scale(columns.T @ columns, per_class, penalties)


def _best_scale(direction: FloatArray, per_class: int, penalties: Sequence[float]) -> CodeOptimum:
    """Return the best multiple of a matrix [K, K] of logits of the classes, symmetric and positive semi-definite."""
    n = whole_number("per_class", per_class, least=1)
    lambdas = penalties_of(penalties, above_zero=True)
    K, m = len(direction), len(lambdas)
    singular = np.linalg.svd(direction, compute_uv=False)
    singular[singular < K * np.finfo(float).eps * singular[0]] = 0.0
    strength = geometric_mean(lambdas) * n ** (1 / m) * (singular ** (2 / m))[singular > 0].sum()
    margins = direction - np.diag(direction)  # [j, k]: z_jk - z_kk
    scale, loss = _least(margins, strength, m)
    values = (scale * math.sqrt(n) * singular).astype(np.float64)
    return CodeOptimum(loss, scale, values, int((values > 0).sum()))


def _least(margins: FloatArray, strength: float, m: int) -> tuple[float, float]:
    """Return the scale that minimises cross-entropy plus (m/2)·strength·α^{2/m}, and the minimum."""
    others = ~np.eye(len(margins), dtype=bool)

    def loss(scale: float) -> float:
        # log Σ_j exp(z_jk - z_kk) as log1p of the other classes, which keeps its precision where they are small.
        largest = np.where(others, scale * margins, 0.0).max(axis=0)
        rest = np.where(others, np.exp(scale * margins - largest), 0.0).sum(axis=0)
        cross_entropy = largest + np.log1p(rest + np.expm1(-largest))
        return float(cross_entropy.mean() + m / 2 * strength * scale ** (2 / m))

    def slope(scale: float) -> float:
        """Derivative with respect to the scale, times α^{1-2/m}: of the same sign, and finite near 0."""
        weights = np.exp(scale * (margins - margins.max(axis=0)))
        fall = ((weights * margins).sum(axis=0) / weights.sum(axis=0)).mean()
        return float(fall * scale ** (1 - 2 / m) + strength)

    candidates = [0.0, *_zeros_from_below(slope)]
    return min(((scale, loss(scale)) for scale in candidates), key=lambda found: found[1])


def _zeros_from_below(function: Callable[[float], float]) -> list[float]:
    """Return where a function changes from negative to positive."""
    values = np.array([function(scale) for scale in SCALES])
    (rising,) = np.nonzero((values[:-1] < 0) & (values[1:] >= 0))
    return [root(function, float(SCALES[i]), float(SCALES[i + 1])) for i in rising]
