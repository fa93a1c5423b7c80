"""Losses, with gradients by logits or features that keep full relative accuracy for fitted samples."""

from __future__ import annotations

from elastic.losses.contract import Loss, LossGradient, OwnLoss, build_loss, by_norm, loss
from elastic.losses.fitting import fit_loss
from elastic.losses.own_gradient import checked_gradient

__all__ = ["Loss", "LossGradient", "OwnLoss", "build_loss", "by_norm", "checked_gradient", "fit_loss", "loss"]
