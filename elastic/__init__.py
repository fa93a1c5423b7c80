"""Elastic: local elasticity and inner-layer neural collapse, layer by layer, in labelled cubes.

The names below are loaded when they are first used: ``import elastic`` needs neither torch nor a study.
"""

from __future__ import annotations

import importlib
import warnings

from elastic._version import __version__

TYPE_CHECKING = False  # typing itself takes as long to load as all else here: signals are not handled before that
if TYPE_CHECKING:
    from typing import Any

    from elastic.claims.checking import check
    from elastic.measure import layers, measure_collapse, measure_elasticity
    from elastic.protocol import load_protocol
    from elastic.recording import Recorder, record_checkpoints
    from elastic.study import Study, open_study
    from elastic.study.combining import combine
    from elastic.study.planning import plan
    from elastic.study.runner import run

# Elastic's datasets and cubes keep strings at fixed width, the only ones that xarray writes everywhere and plots. Zarr
# has no specification of that type yet, which zarr-python says whenever one is written or read.
warnings.filterwarnings("ignore", message=r"The data type \(FixedLengthUTF32\(")

#: Where each public name lives.
_HOMES = {
    "Recorder": "elastic.recording",
    "Study": "elastic.study",
    "check": "elastic.claims.checking",
    "combine": "elastic.study.combining",
    "layers": "elastic.measure",
    "load_protocol": "elastic.protocol",
    "measure_collapse": "elastic.measure",
    "measure_elasticity": "elastic.measure",
    "open_study": "elastic.study",
    "plan": "elastic.study.planning",
    "record_checkpoints": "elastic.recording",
    "run": "elastic.study.runner",
}

__all__ = [
    "Recorder",
    "Study",
    "__version__",
    "check",
    "combine",
    "layers",
    "load_protocol",
    "measure_collapse",
    "measure_elasticity",
    "open_study",
    "plan",
    "record_checkpoints",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'elastic' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
