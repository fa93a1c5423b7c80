"""Headline numbers of a study, its conclusion in sentences, and its HTML summary for notebooks. Needs no torch."""

from __future__ import annotations

from elastic.display.conclusion import conclusion
from elastic.display.html import claims_html, study_html

__all__ = ["claims_html", "conclusion", "study_html"]
