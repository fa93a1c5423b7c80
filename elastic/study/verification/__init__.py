"""Verification: reads every file of a study, and reports those that are damaged or missing."""

from __future__ import annotations

from elastic.study.verification.findings import Finding, State, Verified
from elastic.study.verification.verifying import verify

__all__ = ["Finding", "State", "Verified", "verify"]
