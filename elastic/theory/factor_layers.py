"""Every layer of a product of factors at its optimum; `mse_factor_model` describes the product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from elastic.errors import OptionError
from elastic.theory.arguments import class_counts, whole_number
from elastic.theory.factor_model import geometric_mean, penalties_of, shrunk, target_of
from elastic.theory.optimum import FloatArray, LayerSpectrum


def mse_factor_layer(
    per_class: Sequence[int], penalties: Sequence[float], layer: int, bias: bool = False
) -> LayerSpectrum:
    r"""Return the singular values of one layer at the optimum of `mse_factor_model`.

    The layer's features are H_l = F_l ⋯ F_1 [d, N]. At the optimum λ_i σ_j(F_i)² is the same for every factor i,
    and with logits of singular values s_j = Π_i σ_j(F_i)

        σ_j(F_i) = √(c/λ_i) s_j^{1/m},   σ_j(H_l) = Π_{i≤l} σ_j(F_i) ,   c = (Π_i λ_i)^{1/m},

    because neighbouring factors share singular vectors. The right ones of H_l are those of Y, so that the samples of
    a class coincide in every layer. Without bias class means are orthogonal, that of class k of norm σ_k(H_l)/√n_k.
    With a bias YC = U S Vᵀ, and the means (of features less their mean) are diag(σ(H_l)) S Uᵀ diag(1/n), up to an
    isometry.

    Parameters
    ----------
    per_class, penalties, bias
        As in `mse_factor_model`; all penalties positive, as otherwise factors are not determined.
    layer
        l from 1, the free features, to m, the logits.

    Returns
    -------
    LayerSpectrum
        In feature units, for layers of at least K units (K - 1 with biases).

    Raises
    ------
    ElasticError
        OptionError for penalties that are not positive or a layer that does not exist, DegenerateInput for counts.

    Notes
    -----
    Tirer and Bruna (tirer2022extended) for two and three factors, Dang et al. (dang2023deep) for any number.

    Examples
    --------
    Two classes of 4 samples and c = 1/16: the logits' values are s = 1.5, those of the features √(c/λ_1 · s) = √0.75,
    and a class mean is √4 times shorter.

    >>> layer = mse_factor_layer([4, 4], [1/8, 1/32], 1)
    >>> (layer.singular_values ** 2).round(12).tolist(), (layer.class_mean_spectrum ** 2).round(12).tolist()
    ([0.75, 0.75], [0.1875, 0.1875])
    >>> mse_factor_layer([4, 4], [1/8, 1/32], 2).class_mean_spectrum.round(12).tolist()    # logits: 1.5/√4
    [0.75, 0.75]
    """
    n, lambdas = class_counts(per_class), penalties_of(penalties, above_zero=True)
    m = len(lambdas)
    if whole_number("layer", layer, least=1) > m:
        raise OptionError("`layer`", f"be one of the {m} that the penalties name", str(layer), f"{m}, the logits")
    target, c = target_of(n, bias), geometric_mean(lambdas)
    s = np.array([shrunk(sigma, float(n.sum()) * c, m) for sigma in target.singular_values])
    factors: FloatArray = np.sqrt(c / np.array(lambdas))[:, None] * s ** (1 / m)
    features: FloatArray = factors[:layer].prod(axis=0)
    means: FloatArray = (features * target.singular_values)[:, None] * target.vectors.T / n
    centred = means - means.mean(axis=1, keepdims=True)
    return LayerSpectrum(
        _falling(features), _falling(factors[layer - 1]), None if bias else _spectrum(means), _spectrum(centred)
    )


def _spectrum(columns: FloatArray) -> FloatArray:
    return _falling(np.linalg.svd(columns, compute_uv=False))


def _falling(values: npt.NDArray[np.floating]) -> FloatArray:
    return np.sort(values)[::-1].astype(np.float64)
