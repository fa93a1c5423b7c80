"""Losses: one function each, with a gradient by logits or features that stays exact when a sample is fitted."""

from __future__ import annotations

from elastic.losses.contract import Loss, LossGradient, build_loss, by_norm, loss

__all__ = ["Loss", "LossGradient", "build_loss", "by_norm", "loss"]
