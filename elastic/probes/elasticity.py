"""The elasticity probe: how single steps on fixed samples move other fixed samples, in every layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.probes.update_response import update_responses

#: The one reading of each layer.
READING = "update"


@dataclass(frozen=True)
class ElasticityProbe:
    """Reads a model's update responses on fixed samples, as often as asked.

    Parameters
    ----------
    model
        Read in evaluation mode, left as it was.
    loss
        Whose single-sample gradient is stepped along.
    samples
        On the model's device.
    stepped, observed
        [J] and [M] positions in ``samples``; a position in both is no pair with itself.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    memory_budget
        Bytes that the probe may take.
    """

    model: TappedModel
    loss: Loss
    samples: Samples
    stepped: torch.Tensor
    observed: torch.Tensor
    lr: float | None = None
    memory_budget: int = 2**30

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that a step can move: all but the input."""
        return self.model.layers

    def names(self) -> dict[str, set[str]]:
        """Return the names of the readings of each layer, without reading anything."""
        return {layer: {READING} for layer in self.layers}

    def read(self) -> dict[str, dict[str, UpdateResponse]]:
        """Return the readings of each layer."""
        stepped, observed = self.samples.take(self.stepped), self.samples.take(self.observed)
        responses = update_responses(
            self.model,
            self.loss,
            (stepped.inputs, stepped.labels),
            (observed.inputs, observed.labels),
            classes=len(self.samples.classes),
            lr=self.lr,
            same=self.stepped[:, None] == self.observed[None, :],
            memory_budget=self.memory_budget,
        )
        return {layer: {READING: response} for layer, response in responses.items()}
