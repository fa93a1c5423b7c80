"""Collapse and elasticity of given arrays and models, without a protocol; returns labelled datasets."""

from elastic.measure.collapse import measure_collapse
from elastic.measure.elasticity import measure_elasticity
from elastic.measure.layer_tree import layers

__all__ = ["layers", "measure_collapse", "measure_elasticity"]
