"""The report of a study: one self-contained HTML page that needs no network."""

from __future__ import annotations

from elastic.report.page import write_report

__all__ = ["write_report"]
