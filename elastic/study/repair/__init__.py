"""Repair: what can be rebuilt from what is intact is rebuilt, what is damaged is moved aside, and both are said."""

from __future__ import annotations

from elastic.study.repair.actions import Action, Repaired
from elastic.study.repair.repairing import repair

__all__ = ["Action", "Repaired", "repair"]
