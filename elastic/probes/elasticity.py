"""The elasticity probe: how single steps on fixed samples move other fixed samples, in every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import Loss
from elastic.metrics.elasticity import response, response_stderr
from elastic.metrics.update import UpdateResponse, not_zero
from elastic.models.contract import TappedModel
from elastic.probes.engines import Engine, EngineName, choose_engine
from elastic.probes.update_response import planned, update_responses

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
        Whose gradient is stepped along; a draw's stepped samples are together its batch.
    samples
        On the model's device.
    draws
        Positions in ``samples`` of the stepped [J] and the observed [M]: one pair of draws, or several of growing
        size. A position in both is no pair with itself.
    precision
        With several draws: the next larger one is read while some response of some layer has a standard error
        above this share of it, and the memory budget allows.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    engine
        "auto", "autodiff" or "structured".
    memory_budget
        Bytes that the probe may take.
    """

    model: TappedModel
    loss: Loss
    samples: Samples
    draws: Sequence[tuple[Tensor, Tensor]]
    precision: float | None = None
    lr: float | None = None
    engine: EngineName = "auto"
    memory_budget: int = 2**30

    @cached_property
    def _chosen(self) -> Engine:
        example = self.samples.inputs[:1]
        layer = self.model.layer_of(self.loss.layer)
        return choose_engine(self.model, example, engine=self.engine, finite=self.lr is not None, layer=layer)

    def chosen_engine(self) -> Engine:
        """Return the engine that the probe runs on, chosen once, with the reason if it is not the first choice."""
        return self._chosen

    @cached_property
    def _fitting(self) -> list[tuple[Tensor, Tensor]]:
        """The draws that the memory budget allows; it must allow the first."""
        fitting: list[tuple[Tensor, Tensor]] = []
        for stepped, observed in self.draws:
            counted, classes = stepped[:, None] != observed[None, :], len(self.samples.classes)
            try:
                planned(self.chosen_engine(), counted, classes, self.memory_budget)
            except ModelError:
                if not fitting:
                    raise
                break
            fitting.append((stepped, observed))
        return fitting

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that a step can move: all but the input."""
        return self.model.layers

    def names(self) -> dict[str, set[str]]:
        """Return the names of the readings of each layer, without reading anything."""
        return {layer: {READING} for layer in self.layers}

    def read(self) -> dict[str, dict[str, UpdateResponse]]:
        """Return the readings of each layer: of the first draw that is precise enough, or of the last.

        Raises
        ------
        ModelError
            If the memory budget is too small for any draw.
        """
        for stepped, observed in self._fitting:
            responses = self._read(stepped, observed)
            if self.precision is None or relative_error(responses) <= self.precision:
                break
        return {layer: {READING: response} for layer, response in responses.items()}

    def _read(self, stepped: Tensor, observed: Tensor) -> dict[str, UpdateResponse]:
        first, second = self.samples.take(stepped), self.samples.take(observed)
        return update_responses(
            self.model,
            self.loss,
            (first.inputs, first.labels),
            (second.inputs, second.labels),
            classes=len(self.samples.classes),
            lr=self.lr,
            same=stepped[:, None] == observed[None, :],
            engine=self.chosen_engine(),
            memory_budget=self.memory_budget,
        )


def relative_error(responses: Mapping[str, UpdateResponse]) -> float:
    """Return the largest standard error of a response, relative to it, over layers and pairs of classes.

    Infinite where it is unknown (one sample); responses of exactly zero (a layer without parameters) are exact.
    """
    largest = 0.0
    for update in responses.values():
        size, error = response(update), response_stderr(update)
        share = torch.where(size == 0, 0.0, error / not_zero(size)).nan_to_num(nan=torch.inf)
        largest = max(largest, share.max().item())
    return largest
