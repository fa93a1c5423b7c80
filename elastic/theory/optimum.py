"""Result of a closed form: the minimal loss, and the geometry at which it is attained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optimum:
    """Minimum of an objective.

    Attributes
    ----------
    loss
        The objective at the optimum, including penalties; in the units of the loss.
    """

    loss: float


@dataclass(frozen=True, eq=False)
class FactorOptimum(Optimum):
    """Optimum of a product of factors under the squared loss.

    Attributes
    ----------
    singular_values
        [K] of the K×N matrix Z of logits, before the bias if there is one. Without bias in the order of the classes,
        0 for a class that the penalties suppress; with one in descending order, and the last is 0.
    """

    singular_values: FloatArray


@dataclass(frozen=True, eq=False)
class LayerSpectrum:
    """Singular values at one layer of a product of factors at its optimum, in descending order.

    Attributes
    ----------
    singular_values
        [K] of the features of all samples [d, N], minus their mean if there are biases.
    factor_singular_values
        [K] of the factor that computes the layer: the features themselves (layer 1), or a weight matrix.
    class_mean_spectrum
        [K] of the class means, as the metric with this name; None with biases, which move all of them.
    class_mean_spectrum_centred
        [K] of the class means minus their mean, as the metric with this name.
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
        Logit of the correct class minus that of any other, the same for every sample; 0 if all logits are 0.
    """

    logit_gap: float


@dataclass(frozen=True, eq=False)
class Geometry:
    """Inner products of classifiers and of features, which determine both up to a rotation.

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
