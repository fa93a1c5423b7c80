"""The layer-peeled model: cross-entropy over features and weights of bounded norm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from elastic.errors import DegenerateInput, ElasticError
from elastic.theory.arguments import class_counts, real_number, whole_number
from elastic.theory.optimum import FloatArray, GramOptimum, Optimum

#: Gap and infeasibility that the solver aims at, and those that are accepted if rounding stops it before.
AIM, ACCEPTED = 1e-11, 1e-8


def layer_peeled(classes: int, e_h: float, e_w: float) -> Optimum:
    r"""Return the optimum of the layer-peeled model on balanced classes.

        min  (1/N) Σ_i CE(W h_i, y_i)   where   (1/K) Σ_k ‖w_k‖² ≤ E_W,   (1/K) Σ_k (1/n_k) Σ_{i in k} ‖h_i‖² ≤ E_H

    is log(1 + (K-1) exp(-K/(K-1) √(E_W E_H))): features and weights are one simplex, ‖w_k‖² = E_W and
    ‖h‖² = E_H, so that the gap between the own logit and any other is √(E_W E_H) (1 + 1/(K-1)). It is optimal
    because the constraints bound the sum of singular values of the class logits by K√(E_W E_H), and the loss is
    convex and symmetric in the classes.

    Parameters
    ----------
    classes
        K ≥ 2.
    e_h, e_w
        Bounds E_H and E_W, 0 or more.

    Returns
    -------
    Optimum
        Loss in nats; for features of K-1 dimensions or more.

    Raises
    ------
    ElasticError
        OptionError for negative bounds, DegenerateInput for fewer than two classes.

    Notes
    -----
    Fang et al. (fang2021exploring).

    Examples
    --------
    Two classes with w = ±1 and h = ±1: the gap is 2.

    >>> math.isclose(layer_peeled(2, 1.0, 1.0).loss, math.log(1 + math.exp(-2)))
    True
    """
    K = whole_number("classes", classes, least=2)
    reach = math.sqrt(real_number("e_h", e_h) * real_number("e_w", e_w))
    return Optimum(math.log1p((K - 1) * math.exp(-K / (K - 1) * reach)))


def layer_peeled_imbalanced(per_class: Sequence[int], e_h: float, e_w: float) -> GramOptimum:
    r"""Return the optimum of the layer-peeled model on classes of any sizes, by a semidefinite programme.

    The objective and constraints are those of `layer_peeled`. As the loss is convex in the features, those of a
    class can be replaced by their mean. Objective and constraints then only need the Gram matrix X ⪰ 0 [2K, 2K] of
    h_1 … h_K, w_1 … w_K, in which the problem is convex; every X is one of vectors if there are 2K dimensions. (K - 1
    suffice for the optimum: the programme bounds the sum of singular values of the K×K class logits by K√(E_W E_H),
    their columns sum to 0 there, and as many dimensions as their rank carry them.) The constraint on features weighs
    classes alike, whatever their sizes; the loss weighs them by n_k/N.

    Parameters
    ----------
    per_class
        [K] samples n_k of each class.
    e_h, e_w
        Bounds E_H and E_W, positive.

    Returns
    -------
    GramOptimum
        Loss in nats (to about 1e-9) and the Gram matrices, in the order of ``per_class`` (less exact for small losses,
        which hardly depend on them). For features of 2K dimensions or more.

    Raises
    ------
    ElasticError
        If cvxpy is not installed; OptionError for bounds of 0 or less; DegenerateInput for counts of less than 1 or
        bounds so extreme that the solver finds no optimum.

    Notes
    -----
    Fang et al. (fang2021exploring), equation 10. The solver is Clarabel, through cvxpy (the extra ``theory``).

    Examples
    --------
    Balanced, it is the simplex of `layer_peeled`: for two classes w = ±1.

    >>> found = layer_peeled_imbalanced([5, 5], 1.0, 1.0)
    >>> (abs(found.classifier_gram.round(3)) + 0.0).tolist(), math.isclose(found.loss, math.log(1 + math.exp(-2)))
    ([[1.0, 1.0], [1.0, 1.0]], True)
    """
    n = class_counts(per_class)
    bounds = real_number("e_h", e_h, above_zero=True), real_number("e_w", e_w, above_zero=True)
    cp = _cvxpy()
    K = len(n)
    X = cp.Variable((2 * K, 2 * K), PSD=True)
    # Vectors in units of √E_H and √E_W, so that the solver works with numbers near 1.
    logits = math.sqrt(bounds[0] * bounds[1]) * X[K:, :K]
    loss = (n / n.sum()) @ (cp.log_sum_exp(logits, axis=0) - cp.diag(logits))
    programme = cp.Problem(cp.Minimize(loss), [cp.trace(X[:K, :K]) <= K, cp.trace(X[K:, K:]) <= K])
    _solve(programme)
    gram: FloatArray = X.value
    return GramOptimum(float(programme.value), bounds[1] * gram[K:, K:], bounds[0] * gram[:K, :K])


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ImportError as error:
        hint = "pip install 'elastic-collapse[theory]'"
        raise ElasticError("`layer_peeled_imbalanced`", "find cvxpy installed", str(error), hint) from None
    return cvxpy


def _solve(programme: Any) -> None:
    names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
    tolerances = dict.fromkeys(names, AIM) | {f"reduced_{name}": ACCEPTED for name in names}
    with warnings.catch_warnings():
        # The warning of the solver if it stops between the two tolerances, which is accurate enough.
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        try:
            programme.solve(solver="CLARABEL", **tolerances)
            status = str(programme.status)
        except _cvxpy().error.SolverError:
            status = "failed"
    if status not in ("optimal", "optimal_inaccurate"):
        found = f"a solver that ends {status!r}"
        raise DegenerateInput("`e_h · e_w`", "let the optimum be found", found, "bounds nearer to 1")
