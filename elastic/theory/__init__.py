"""Optima in closed form (or by one convex programme) of models in which the features are free variables.

They predict where training ends, and validate the measurements of the theory models. NumPy and SciPy, no torch.
"""

from elastic.theory.cross_entropy import cross_entropy_ufm
from elastic.theory.deep_cross_entropy import CodeOptimum, deep_cross_entropy_code, deep_cross_entropy_ufm
from elastic.theory.factor_layers import mse_factor_layer
from elastic.theory.factor_model import mse_factor_model
from elastic.theory.kernel_invariant import kernel_eigenvalues, kernel_invariant
from elastic.theory.layer_peeled import layer_peeled, layer_peeled_imbalanced
from elastic.theory.minority_collapse import minority_collapse_count, minority_collapse_ratio
from elastic.theory.optimum import CrossEntropyOptimum, FactorOptimum, Geometry, GramOptimum, LayerSpectrum, Optimum
from elastic.theory.seli import seli
from elastic.theory.supervised_contrastive import supervised_contrastive

__all__ = [
    "CodeOptimum",
    "CrossEntropyOptimum",
    "FactorOptimum",
    "Geometry",
    "GramOptimum",
    "LayerSpectrum",
    "Optimum",
    "cross_entropy_ufm",
    "deep_cross_entropy_code",
    "deep_cross_entropy_ufm",
    "kernel_eigenvalues",
    "kernel_invariant",
    "layer_peeled",
    "layer_peeled_imbalanced",
    "minority_collapse_count",
    "minority_collapse_ratio",
    "mse_factor_layer",
    "mse_factor_model",
    "seli",
    "supervised_contrastive",
]
