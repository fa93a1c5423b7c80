"""The study folder: what was asked, which runs have ended, and the cube. Reading it needs no torch."""

from __future__ import annotations

from elastic.study.folders import RESULTS, RUNS, study_folder
from elastic.study.run_status import RunStatus
from elastic.study.study import Study, open_study
from elastic.study.study_file import FACTS, PROTOCOL

__all__ = ["FACTS", "PROTOCOL", "RESULTS", "RUNS", "RunStatus", "Study", "open_study", "study_folder"]
