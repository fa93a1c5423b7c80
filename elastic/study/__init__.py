"""The study folder: what was asked, which runs have ended, and the cube. Reading it needs no torch."""

from __future__ import annotations

from elastic.study.study import FACTS, PROTOCOL, RESULTS, RUNS, RunStatus, Study, open_study

__all__ = ["FACTS", "PROTOCOL", "RESULTS", "RUNS", "RunStatus", "Study", "open_study"]
