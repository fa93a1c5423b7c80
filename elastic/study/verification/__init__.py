"""Verification: every file of a study is read, and each that is not as it was written is named."""

from __future__ import annotations

from elastic.study.verification.findings import Finding, State, Verified
from elastic.study.verification.verifying import verify

__all__ = ["Finding", "State", "Verified", "verify"]
