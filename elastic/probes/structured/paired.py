"""Paired steps: each stepped sample is followed under its own step alone, all of them in one pass.

The movement of a stepped sample itself needs one tangent per sample, while a block of pairs has one for each two.
Tangents are then [1, c, …]: one for each of c samples, which are also the observed ones, each along its own step.
A layer reads the tensors from which the step was computed, so that x ⋆ ΔW_a is a product of the step's factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.probes.structured.steps import Steps, Use


class Unpaired(Exception):
    """A part of a model whose samples cannot be separated under paired steps; blocks of all pairs are used instead."""


@dataclass(frozen=True)
class PairedSteps(Steps):
    """First-order steps of c samples, each of which moves its own sample alone."""

    @property
    def count(self) -> int:
        """Number of tangents of each sample."""
        return 1

    def of(self, weight: Tensor, way: object, bias: Tensor | None = None) -> list[Use]:
        """Refuse rules that do not support paired steps."""
        raise Unpaired

    def only(self, weight: Tensor, way: object, bias: Tensor | None, value: Tensor) -> Use | None:
        """Return the one use of a weight by samples that enter as ``value`` [c, …]; None if no step is of it.

        Raises
        ------
        Unpaired
            If there are several, or the samples are not along the first axis.
        """
        uses = super().of(weight, way, bias)
        if not uses:
            return None
        entered = uses[0].inputs
        if len(uses) > 1 or entered.shape[1] != 1 or value.shape != (len(entered), *entered.shape[2:]):
            raise Unpaired
        return uses[0]


def paired(steps: Steps) -> PairedSteps:
    """Convert steps to paired ones.

    Raises
    ------
    Unpaired
        If the steps are finite.
    """
    if steps.size is not None:
        raise Unpaired
    return PairedSteps(steps.uses, steps.loose, None, steps.biases)


def product_of_own(inputs: Tensor, gradients: Tensor) -> Tensor:
    """Return Σ_t ⟨h_s, h_t⟩ δ_t, [c, positions, out] of rows h [c, positions, in] and their gradients δ.

    >>> product_of_own(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0]]])).tolist()       # (1 + 4)·3
    [[[15.0]]]
    """
    if inputs.shape[1] * (inputs.shape[2] + gradients.shape[2]) > inputs.shape[2] * gradients.shape[2]:
        return torch.bmm(inputs, torch.bmm(inputs.mT, gradients))
    return torch.bmm(torch.bmm(inputs, inputs.mT), gradients)
