"""Repair: rebuilds files from intact ones, moves damaged files aside, and reports both."""

from __future__ import annotations

from elastic.study.repair.actions import Action, Repaired
from elastic.study.repair.repairing import repair

__all__ = ["Action", "Repaired", "repair"]
