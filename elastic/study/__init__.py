"""The study folder: the protocol, the state of the runs, and the cube. Reading it needs no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elastic.study.folders import RESULTS, RUNS, study_folder
from elastic.study.run_status import RunStatus
from elastic.study.study_file import FACTS, PROTOCOL

if TYPE_CHECKING:
    from elastic.study.study import Study, open_study

#: Names imported on first use: they import xarray, which worker processes do not need.
_OF_STUDY = ("Study", "open_study")

__all__ = ["FACTS", "PROTOCOL", "RESULTS", "RUNS", "RunStatus", "Study", "open_study", "study_folder"]


def __getattr__(name: str) -> Any:
    if name not in _OF_STUDY:
        raise AttributeError(f"module 'elastic.study' has no attribute {name!r}")
    return getattr(importlib.import_module("elastic.study.study"), name)
