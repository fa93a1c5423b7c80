"""The fine-structure probe: how steps on the samples of each super-class move one another, and their positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.metrics.fine_structure import FineFeatures
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import INPUT, TappedModel
from elastic.probes.engine_selection import EngineChoice, EngineName
from elastic.probes.evaluation import probed
from elastic.probes.features import gram_matrices
from elastic.probes.update_response import update_responses

#: Readings of each layer, and of the network.
UPDATES, FEATURES, INPUTS = "fine_updates", "fine_features", "fine_inputs"


@dataclass(frozen=True)
class FineProbe:
    """Reads how a model separates fine classes that it is trained on as one.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    loss
        Loss whose single-sample gradient defines the step.
    samples
        With fine labels, on the model's device: stepped and observed, all of them, those of one super-class together.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    memory_budget
        Most bytes that the probe may use.
    """

    model: TappedModel
    loss: Loss
    samples: Samples
    lr: float | None = None
    memory_budget: int = 2**30

    @cached_property
    def parts(self) -> list[Samples | None]:
        """Samples of each training class; None for a class of a single fine class."""
        labels, fine = self.samples.labels, self.samples.strata[0]
        members = [labels == label for label in range(len(self.samples.classes))]
        return [self.samples.take(mask) if len(fine[mask].unique()) > 1 else None for mask in members]

    def names(self) -> tuple[dict[str, set[str]], set[str]]:
        """Return the names of the readings of each layer and of the network, without computing anything."""
        return {layer: {UPDATES, FEATURES} for layer in self.model.layers}, {INPUTS}

    def read(self, engine: EngineChoice | EngineName = "auto") -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Return the readings of each layer and of the network, each with one entry per super-class.

        Parameters
        ----------
        engine
            A chosen engine, or its name.

        Raises
        ------
        ModelError
            If the memory budget is too small.
        """
        updates, features = [], []
        with probed(self.model, parameters=True):
            for part in self.parts:
                updates.append({} if part is None else self._updates(part, engine))
                features.append({} if part is None else dict(self._features(part)))
        by_layer = {
            layer: {UPDATES: [u.get(layer) for u in updates], FEATURES: [f.get(layer) for f in features]}
            for layer in self.model.layers
        }
        return by_layer, {INPUTS: [f.get(INPUT) for f in features]}

    def _updates(self, part: Samples, engine: EngineChoice | EngineName) -> dict[str, UpdateResponse]:
        fine = _numbered(part)
        return update_responses(
            self.model,
            self.loss,
            (part.inputs, part.for_loss),
            (part.inputs, fine),
            classes=int(fine.max()) + 1,
            groups=fine,
            lr=self.lr,
            same=torch.eye(len(part), dtype=torch.bool, device=fine.device),
            engine=engine,
            memory_budget=self.memory_budget,
        )

    def _features(self, part: Samples) -> Iterator[tuple[str, FineFeatures]]:
        for layer, products in gram_matrices(self.model, part.inputs, self.memory_budget).items():
            yield layer, FineFeatures(products, _numbered(part))


def _numbered(part: Samples) -> Tensor:
    """Return the fine classes [n] of a part, numbered from 0 among those that it has."""
    fine: Tensor = part.strata[0].unique(return_inverse=True)[1]
    return fine
