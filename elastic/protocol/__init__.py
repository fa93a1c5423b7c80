"""Protocol files: what is trained, what is probed.

    file -> text with places -> plain data -> sections, checked in every cell of the grid -> `Protocol`

Nothing here needs torch; packages of registered functions are imported when a component is looked up.
"""

from __future__ import annotations

from elastic.protocol.canonical import canonical_json, explain_difference
from elastic.protocol.cells import Cell
from elastic.protocol.claims import ReadClaim, load_claims, read_claims
from elastic.protocol.data_section import Data
from elastic.protocol.file_schema import json_schema
from elastic.protocol.grid import Axes, Axis
from elastic.protocol.loading import load_protocol
from elastic.protocol.probes_section import CollapseProbe, ElasticityProbe, Probes
from elastic.protocol.schema import Protocol
from elastic.protocol.sections import Optimizer, Settings
from elastic.protocol.strict import Component
from elastic.protocol.training_section import Training

__all__ = [
    "Axes",
    "Axis",
    "Cell",
    "CollapseProbe",
    "Component",
    "Data",
    "ElasticityProbe",
    "Optimizer",
    "Probes",
    "Protocol",
    "ReadClaim",
    "Settings",
    "Training",
    "canonical_json",
    "explain_difference",
    "json_schema",
    "load_claims",
    "load_protocol",
    "read_claims",
]
