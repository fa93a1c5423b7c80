"""Simplex-encoded-labels interpolation: the geometry under vanishing penalties, whatever the imbalance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from elastic.theory.arguments import class_counts
from elastic.theory.optimum import Geometry


def seli(per_class: Sequence[int]) -> Geometry:
    r"""Return the geometry that cross-entropy over unconstrained features approaches as its penalties vanish.

    With Ẑ = (I - 11ᵀ/K) Y = V Λ Uᵀ (the simplex-encoded labels [K, N]), WWᵀ ∝ V Λ Vᵀ and HᵀH ∝ U Λ Uᵀ: logits
    W h = Ẑ have the least sum of singular values among all with margins of 1 or more, and equal penalties share
    the singular values between W and H. The features of a class coincide. So with D the diagonal of √n_k and
    (I - 11ᵀ/K) D = V Λ Ũᵀ [K, K], the features' inner products are D⁻¹ Ũ Λ Ũᵀ D⁻¹. Balanced classes, and any two,
    are a simplex.

    Parameters
    ----------
    per_class
        [K] samples n_k of each class.

    Returns
    -------
    Geometry
        In the order of ``per_class``, at the scale at which the logits are Ẑ and both penalties are equal. Cosines
        and ratios within each matrix are given by the theorem.

    Raises
    ------
    ElasticError
        OptionError for counts that are not integers; DegenerateInput for fewer than two classes or an empty one.

    Notes
    -----
    Thrampoulidis et al. (thrampoulidis2022imbalance).

    Examples
    --------
    For four samples a class all is simplex, the classifiers √4 times as strong as the features:

    >>> geometry = seli([4, 4])
    >>> geometry.classifier_gram.round(12).tolist(), geometry.feature_gram.round(12).tolist()
    ([[1.0, -1.0], [-1.0, 1.0]], [[0.25, -0.25], [-0.25, 0.25]])
    """
    root = np.sqrt(class_counts(per_class))
    K = len(root)
    V, strengths, Ut = np.linalg.svd((np.eye(K) - 1 / K) * root)
    U = Ut.T / root[:, None]
    return Geometry((V * strengths) @ V.T, (U * strengths) @ U.T)
