"""Optimisers and learning-rate schedules: one function each."""

from __future__ import annotations

from elastic.optimizers.contract import (
    build_optimizer,
    momentum_of,
    needs_objective,
    optimizer,
    ridge_of,
    schedule,
    summing_gradients,
)
from elastic.optimizers.steps import step_of

__all__ = [
    "build_optimizer", "momentum_of", "needs_objective", "optimizer", "ridge_of", "schedule", "step_of",
    "summing_gradients",
]  # fmt: skip
