"""Optimisers and learning-rate schedules: one function each."""

from __future__ import annotations

from elastic.optimizers.contract import build_optimizer, needs_objective, optimizer, ridge_of, schedule
from elastic.optimizers.steps import step_of

__all__ = ["build_optimizer", "needs_objective", "optimizer", "ridge_of", "schedule", "step_of"]
