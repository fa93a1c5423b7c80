"""Features of every layer, read from a model in batches as often as asked."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from elastic.errors import ModelError
from elastic.models.contract import TappedModel
from elastic.probes.evaluation import probed

#: The layer of depth 0: what enters the model.
INPUT = "input"


class FeatureStream:
    """A re-iterable stream of ``({layer: features [b, d]}, labels [b])`` of a model in evaluation mode.

    Where all features fit into the memory budget they are kept after the first pass; else each pass is a forward
    pass of its own.

    Parameters
    ----------
    model
        Read, never changed.
    inputs, labels
        [n, …] and [n] on the model's device.
    memory_budget
        Bytes that features may take, in a batch or altogether.

    Attributes
    ----------
    decisions
        [n] the network's own class of each sample, known after the first full pass (None before).
    """

    def __init__(self, model: TappedModel, inputs: Tensor, labels: Tensor, *, memory_budget: int = 2**30) -> None:
        self.model = model
        self.inputs = inputs
        self.labels = labels
        self.decisions: Tensor | None = None
        self._kept: list[tuple[dict[str, Tensor], Tensor]] | None = None
        with torch.no_grad(), probed(model):
            one = flat_taps(model, inputs[:1])
        size = sum(f.shape[1] * f.element_size() for f in one.values())
        self._keeps = size * len(labels) <= memory_budget
        # In float64 and with its residuals a batch weighs several times its features.
        self._batch = max(1, min(len(labels), 4096, memory_budget // (8 * size)))

    def __call__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Pass over all samples once, in order."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, decisions = [], []
        for inputs, labels in zip(self.inputs.split(self._batch), self.labels.split(self._batch), strict=True):
            with torch.no_grad(), probed(self.model):
                features = flat_taps(self.model, inputs)
            decisions.append(features["logits"].argmax(dim=1))
            if self._keeps:
                kept.append((features, labels))
            yield features, labels
        self.decisions = torch.cat(decisions)
        self._kept = kept if self._keeps else None


def flat_taps(model: TappedModel, inputs: Tensor) -> dict[str, Tensor]:
    """Return the features [n, d] of the input and of every layer, flattened at full width.

    Raises
    ------
    ModelError
        If a layer's output does not keep one row a sample.
    """
    taps = {INPUT: inputs, **model.taps(inputs)}
    for layer, features in taps.items():
        if features.ndim < 2 or len(features) != len(inputs):
            raise ModelError(
                f"`layers` {layer}",
                "give one row of features a sample",
                f"shape {tuple(features.shape)} for {len(inputs)} inputs",
                "a submodule whose output keeps the batch first",
            )
    return {layer: features.flatten(1) for layer, features in taps.items()}
