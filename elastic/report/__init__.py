"""A study's report: one HTML page that holds everything it shows and asks the network for nothing."""

from __future__ import annotations

from elastic.report.page import write_report

__all__ = ["write_report"]
