"""Collapse of a given model on a loader of any length, in two passes, with memory for the class means and one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.arguments import Classifier, as_classifier, positions_among
from elastic.arrays import Array
from elastic.batches import FixedBatches, Forward, Output, batches_of, check_output, kept_generators, place_of
from elastic.errors import DegenerateInput
from elastic.measure.dataset import labelled
from elastic.measure.model_stream import ModelStream
from elastic.measure.named_classes import read_named_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.moments import position_type
from elastic.metrics.tabulation import tabulate
from elastic.models.positions import Position, check_position, described_position
from elastic.models.preservation import preserved
from elastic.models.taps import unwrapped


def collapse_of_model(
    model: nn.Module,
    loader: Any,
    *,
    layers: Sequence[str] | str | None,
    classifier: Classifier | None,
    rank_tolerance: float | None,
    forward: Forward | None,
    output: Output | None,
    position: Position | None,
    batch_size: int,
) -> xr.Dataset:
    """Return the dataset of `elastic.measure_collapse` for a model and a loader, with the same arguments."""
    check_output(output)
    check_position(position)
    model = unwrapped(model)
    place_of(model)  # a model without values has no state to preserve
    with kept_generators(loader), preserved(model):
        model.eval()
        stream = ModelStream(model, FixedBatches(batches_of(loader, batch_size)), layers, forward, output, position)
        decided = _Decided(stream)
        names, by_layer = read_named_classes(decided.passes, rank_tolerance=rank_tolerance)
        weights = _weights(stream, classifier, names)
    decisions, reason = decided.among(names)
    readings: dict[str, Mapping[str, Any]] = {}
    for layer, reading in by_layer.items():
        values: dict[str, Any] = {
            "statistics": reading.statistics,
            "nearest": lambda reading=reading: reading.nearest,
            "labels": lambda reading=reading: reading.labels,
        }
        if decisions is not None:
            values["decisions"] = decisions
        if layer == stream.penultimate and weights is not None:
            W, bias = weights
            values |= {"duality_weights": DualityWeights(W, True), "classifier_weights": W, "classifier_bias": bias}
        readings[layer] = _OnDemand(values)
    table = tabulate("collapse", tuple(readings), readings)
    coords = {"class": names, "other_class": names, "component": np.arange(1, len(names) + 1)}
    ds = labelled(table, "collapse", stream.widths, coords, stream.output)
    ds = ds.assign_attrs(features=described_position(position))
    return ds.assign_attrs(decisions=f"left out: {reason}") if reason else ds


class _OnDemand(Mapping[str, Any]):
    """Readings of a layer; functions are computed on request, as their results take 8 bytes per sample."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_or_functions = values

    def __getitem__(self, name: str) -> Any:
        value = self.values_or_functions[name]
        return value() if callable(value) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_or_functions)

    def __len__(self) -> int:
        return len(self.values_or_functions)


class _Decided:
    """The position of each sample's highest output, stored in the second pass over a stream."""

    def __init__(self, stream: ModelStream) -> None:
        self.stream = stream
        self.shape: tuple[int, ...] = ()
        self._passes = self._count = 0
        self._highest = torch.empty(0)

    def passes(self) -> Iterator[tuple[dict[str, Tensor], Array]]:
        """Start a pass over the stream."""
        self._passes, total, self._count = self._passes + 1, self._count, 0
        for features, labels in self.stream():
            output = features[self.stream.output]
            self.shape = tuple(output.shape[1:])
            if self._passes == 2 and len(self.shape) == 1:
                if self._count == 0:
                    self._highest = torch.empty(total, dtype=position_type(self.shape[0]), device=output.device)
                self._highest[self._count : self._count + len(labels)] = output.argmax(dim=1)
            self._count += len(labels)
            yield features, labels

    def among(self, names: Array) -> tuple[Callable[[], Tensor] | None, str]:
        """Return the decisions [N] among classes; None, and the reason, if the outputs are not those of classes."""
        shape, K = f"outputs of shape {['n', *self.shape]}".replace("'", ""), len(names)
        if len(self.shape) != 1 or self.shape[0] < K:
            return None, f"{shape} for {K} classes"
        highest, count = self._highest, self.shape[0]
        try:
            positions_among(highest[:1].long(), count, names)
        except DegenerateInput:
            return None, f"{shape} for {K} classes, whose labels are no positions of outputs"
        return lambda: positions_among(highest.long(), count, names), ""


def _weights(stream: ModelStream, given: Classifier | None, names: Array) -> tuple[Tensor, Tensor] | None:
    """Return the weights [K, d] and bias [K] that read the last hidden layer, in the order of the classes' names."""
    if stream.penultimate is None:
        return None
    if given is not None:
        return as_classifier(given, len(names), stream.widths[stream.penultimate])
    if stream.classifier is None:
        return None
    W, b = stream.classifier.weight.double(), stream.classifier.bias
    bias = W.new_zeros(len(W)) if b is None else b.double()
    if len(W) == len(names):
        return W.clone(), bias.clone()
    if names.dtype.kind not in "iu" or names.min() < 0 or names.max() >= len(W):
        return None
    positions = torch.as_tensor(names.astype(np.int64), device=W.device)
    return W[positions], bias[positions]
