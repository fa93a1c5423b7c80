"""Result of a closed form: the minimal loss, and the geometry at which it is attained."""

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
        [K] of the K×N matrix Z of logits, before the bias if there is one. Without bias that of class k stands at
        place k, 0 for a class that the penalties silence; with one they fall, and the last is 0.
    """

    singular_values: FloatArray


@dataclass(frozen=True, eq=False)
class LayerSpectrum:
    """Singular values at one layer of a product of factors at its optimum, all of them from the greatest on.

    Attributes
    ----------
    singular_values
        [K] of the features of all samples [d, N], less their mean if there are biases.
    factor_singular_values
        [K] of the factor that gives the layer: the features themselves (layer 1), or a matrix of weights.
    class_mean_spectrum
        [K] of the class means as they are, as the metric of that name; None with biases, which move all of them.
    class_mean_spectrum_centred
        [K] of the class means less their mean, as the metric of that name.
    """

    singular_values: FloatArray
    factor_singular_values: FloatArray
    class_mean_spectrum: FloatArray | None
    class_mean_spectrum_centred: FloatArray


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
