"""The collapse probe: readings of every layer and split from which the collapse metrics are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elastic.data.contract import Samples
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.least_squares import read_least_squares
from elastic.models.applied_weights import AppliedWeights
from elastic.models.contract import INPUT, TappedModel
from elastic.probes.evaluation import probed, weights_in_evaluation
from elastic.probes.features import FeatureStream, check_budget
from elastic.probes.preconditions import check_preconditions

#: Readings of each layer.
OF_EVERY_LAYER = frozenset({"statistics", "nearest", "labels", "decisions"})


@dataclass(frozen=True)
class SplitReading:
    """Readings of one split: by layer, and of the network as a whole."""

    by_layer: dict[str, dict[str, Any]]
    of_network: dict[str, Any]


@dataclass
class CollapseProbe:
    """Reads a model's collapse on fixed samples, repeatedly.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    samples
        By split, on the model's device; "train" is among them.
    splits
        Splits to report; samples of every split are classified by the class means of "train".
    ridge
        λ of the objective's (λ/2)‖θ‖², None if the loss is not the squared error: the least-squares
        decomposition is then not defined.
    memory_budget
        Most bytes that features may use.
    rank_tolerance
        Relative cutoff of the class means' singular values, as in `read_classes`.
    decide
        Returns the class [b] for which outputs [b, d] are decided; None: the position of the largest.
    """

    model: TappedModel
    samples: Mapping[str, Samples]
    splits: Sequence[str]
    ridge: float | None = None
    memory_budget: int = 2**30
    rank_tolerance: float | None = None
    decide: Callable[[Tensor], Tensor] | None = None
    layers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = (INPUT, *self.model.layers)

    def names(self) -> tuple[dict[str, set[str]], set[str]]:
        """Return the names of the readings of each layer and of the network, without computing anything."""
        weights = self._weights()
        by_layer = {layer: {*OF_EVERY_LAYER, *weights.get(layer, {})} for layer in self.layers}
        return by_layer, set() if self.model.last_weights() is None or self.ridge is None else {"least_squares"}

    def check_budget(self) -> None:
        """Raise a ModelError if the memory budget is too small for one sample."""
        with probed(self.model, parameters=True):
            check_budget(self.model, self.samples["train"].inputs, self.memory_budget)

    def read(self) -> dict[str, SplitReading]:
        """Read every split that is reported, in order.

        Raises
        ------
        ModelError
            If the model fails `check_preconditions`.
        """
        with probed(self.model, parameters=True):
            check_preconditions(self.model, self.samples["train"].inputs)
            return self._read_splits()

    def _read_splits(self) -> dict[str, SplitReading]:
        readings: dict[str, SplitReading] = {}
        centres: dict[str, Tensor] | None = None
        for split in dict.fromkeys(("train", *self.splits)):
            part = self.samples[split]
            stream = FeatureStream(
                self.model, part.inputs, part.labels, memory_budget=self.memory_budget, decide=self.decide
            )
            readings[split] = self._read(stream, len(part.classes), centres)
            centres = centres or {
                layer: layer_readings["statistics"].means for layer, layer_readings in readings[split].by_layer.items()
            }
        return {split: readings[split] for split in self.splits}

    def _read(self, stream: FeatureStream, classes: int, centres: Mapping[str, Tensor] | None) -> SplitReading:
        weights = self._weights()
        by_layer: dict[str, dict[str, Any]] = {}
        class_readings = read_classes(stream, classes, centres=centres, rank_tolerance=self.rank_tolerance)
        for layer, reading in class_readings.items():
            by_layer[layer] = {
                "statistics": reading.statistics,
                "nearest": reading.nearest,
                "labels": reading.labels,
                "decisions": stream.decisions,
                **weights.get(layer, {}),
            }
        return SplitReading(by_layer, self._of_network(stream, classes))

    def _weights(self) -> dict[str, dict[str, Any]]:
        """Return the readings of weights: of the linear module that takes a layer's features unchanged."""
        weights: dict[str, dict[str, Any]] = {}
        classifier = self.model.last_weights()
        following = self.model.next_weights()
        applied = self._applied(following.values())
        for layer, linear in following.items():
            weight, bias = applied[linear].weight, applied[linear].bias
            # With one output for two classes, or several labels per sample, no row of the weights belongs to a class.
            rowwise = len(weight) == len(self.samples["train"].classes)
            is_classifier = linear is classifier and rowwise
            weights[layer] = {"duality_weights": DualityWeights(weight.double(), is_classifier)}
            if is_classifier:
                weights[layer]["classifier_weights"] = weight.double()
                weights[layer]["classifier_bias"] = (weight.new_zeros(len(weight)) if bias is None else bias).double()
        return weights

    def _applied(self, linears: Iterable[nn.Linear]) -> dict[nn.Linear, AppliedWeights]:
        return weights_in_evaluation(self.model, linears, self.samples["train"].inputs[:2])

    def _of_network(self, stream: FeatureStream, classes: int) -> dict[str, Any]:
        classifier = self.model.last_weights()
        if classifier is None or self.ridge is None:
            return {}
        applied = self._applied([classifier])[classifier]
        batches = [(features[self.model.penultimate or ""], labels) for features, labels in stream()]
        return {
            "least_squares": read_least_squares(
                torch.cat([features for features, _ in batches]).double(),
                torch.cat([labels for _, labels in batches]),
                classes,
                applied.weight.double(),
                None if applied.bias is None else applied.bias.double(),
                self.ridge,
            )
        }
