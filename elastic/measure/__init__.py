"""Collapse and elasticity of one's own arrays and models, without a protocol: arrays in, labelled datasets out."""

from elastic.measure.collapse import measure_collapse
from elastic.measure.elasticity import measure_elasticity
from elastic.measure.layer_tree import layers

__all__ = ["layers", "measure_collapse", "measure_elasticity"]
