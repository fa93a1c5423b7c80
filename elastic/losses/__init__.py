"""Losses: one function each, with a logit gradient that stays exact when a sample is fitted."""

from __future__ import annotations

from elastic.losses.contract import LogitGradient, Loss, build_loss, by_norm, loss

__all__ = ["LogitGradient", "Loss", "build_loss", "by_norm", "loss"]
