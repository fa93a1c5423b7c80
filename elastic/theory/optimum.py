"""What a closed form tells: the least loss, and the geometry at which it is reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optimum:
    """Least value of an objective.

    Attributes
    ----------
    loss
        The objective, with its penalties, at the optimum; in the units of the loss.
    """

    loss: float


@dataclass(frozen=True, eq=False)
class FactorOptimum(Optimum):
    """Optimum of a product of factors under the squared loss.

    Attributes
    ----------
    singular_values
        [K] of the K×N matrix Z of logits, that of class k at place k: 0 for a class that the penalties silence.
    """

    singular_values: FloatArray


@dataclass(frozen=True)
class CrossEntropyOptimum(Optimum):
    """Optimum of the balanced unconstrained-features model under cross-entropy.

    Attributes
    ----------
    logit_gap
        Logit of the own class less that of any other, the same for every sample; 0 where all logits vanish.
    """

    logit_gap: float


@dataclass(frozen=True, eq=False)
class Geometry:
    """Inner products of classifiers and of features, which fix both up to a rotation.

    Attributes
    ----------
    classifier_gram
        [K, K] inner products w_j·w_k of the rows of the classifier.
    feature_gram
        [K, K] inner products h_j·h_k of the collapsed features of the classes.
    """

    classifier_gram: FloatArray
    feature_gram: FloatArray


@dataclass(frozen=True, eq=False)
class GramOptimum(Geometry, Optimum):
    """Optimum with its geometry."""
