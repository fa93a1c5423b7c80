"""The features of a model's layers, batch by batch from a loader, with memory for one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.arrays import Array, as_tensor
from elastic.batches import Forward, Output, inputs_of, labels_of, place_of, placed, runner
from elastic.batches.table import Table
from elastic.errors import ElasticError, ModelError, first_line
from elastic.models.applied_weights import AppliedWeights, applied_weights
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import INPUT, TappedModel
from elastic.models.dry_run import uncompiled
from elastic.models.input_type import input_type
from elastic.models.positions import Position
from elastic.models.state import ModuleState
from elastic.models.taps import tap

#: Samples to run in order to find layers.
SAMPLES = 2


class ModelStream:
    """A stream of ``({layer: features [b, …]}, labels [b])`` of a model, iterated once per pass.

    Parameters
    ----------
    model
        In evaluation mode. It is restored after every batch, except for parameters, which the caller restores.
    batches
        Iterated once per pass.
    layers
        As in `elastic.measure_collapse`.
    forward
        Computes the outputs for a batch; by default the model is called with the inputs, or with keyword arguments.
    output, position
        As in `elastic.measure_collapse`.

    Attributes
    ----------
    output, penultimate
        Names of the output layer and of the one before it, after the first batch.
    classifier
        What the last linear module applies, if it takes the penultimate features.
    widths
        Width of each layer.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Any],
        layers: Sequence[str] | str | None,
        forward: Forward | None,
        output: Output | None = None,
        position: Position | None = None,
    ) -> None:
        self.model, self.batches, self.forward, self.position = model, batches, forward, position
        self.layers, self.reads_input = _without_input(model, layers)
        self.widths: dict[str, int] = {}
        self.output = ""
        self.penultimate: str | None = None
        self.classifier: AppliedWeights | None = None
        self._view = BatchForward(model, runner(forward, output))
        self._tapped: TappedModel | None = None
        self._state = ModuleState(model, parameters=False)
        self._device, self._dtype = place_of(model)

    def __call__(self) -> Iterator[tuple[dict[str, Tensor], Array]]:
        """Iterate over the loader once; batches without samples are skipped."""
        for batch in self.batches:
            labels = labels_of(batch)
            if len(labels):
                yield self._read(batch, len(labels)), labels

    def _read(self, batch: Any, count: int) -> dict[str, Tensor]:
        """Return the features of one batch."""
        inputs = inputs_of(batch) if self.forward is None else batch
        whole = isinstance(inputs, Tensor)
        with torch.no_grad(), uncompiled(), _explained(self.forward):
            inputs = placed(inputs, self._device, self._type(inputs, whole))
            self._view.batch = None if whole else Table(inputs, count)
            try:
                entering = inputs if whole else torch.arange(count)
                if self._tapped is None:
                    self._tapped = self._look(entering)
                features = self._taps(self._tapped, entering)
                if self.reads_input:
                    features = {INPUT: as_tensor("inputs", self._view.entering(entering)), **features}
            finally:
                self._view.batch = None
        return features

    def _look(self, entering: Tensor) -> TappedModel:
        """Return the model with its layers, found on the first batch, after checking its features."""
        example = entering[:SAMPLES]
        if isinstance(self.model, TappedModel):
            tapped: TappedModel = self._built_in()
        else:
            tapped = tap(self._view, self.layers, example, self.position)
        features = self._taps(tapped, entering)
        _check_features(features, lambda rows: self._taps(tapped, entering[:rows]))
        inputs = {INPUT: self._view.entering(example)} if self.reads_input else {}
        self.widths = {layer: values[0].numel() for layer, values in (inputs | features).items()}
        self.output, self.penultimate = tapped.output, tapped.penultimate
        if (linear := tapped.last_weights()) is not None:
            run = partial(self._restoring, lambda: tapped(example.clone()))
            self.classifier = applied_weights([linear], run)[linear]
        return tapped

    def _built_in(self) -> TappedModel:
        """Return a model that defines its layers."""
        assert isinstance(self.model, TappedModel)
        if self._view.batch is not None or self.position is not None:
            expected = "be read with tensors, which its layers are made of"
            found = "a mapping, `forward` or `position`"
            raise ModelError("a built-in model", expected, found, "batches (inputs, labels)")
        if self.layers not in (None, "auto") and tuple(self.layers or ()) != self.model.layers:
            expected = "be left out for a built-in model, whose layers have names"
            raise ModelError("`layers`", expected, repr(self.layers), f"layers={list(self.model.layers)}")
        return self.model

    def _taps(self, tapped: TappedModel, entering: Tensor) -> dict[str, Tensor]:
        features = self._restoring(lambda: tapped.taps(entering.clone()))
        return {layer: as_tensor(f"layer {layer!r}", values) for layer, values in features.items()}

    def _restoring(self, function: Callable[[], Any]) -> Any:
        try:
            return function()
        finally:
            self._state.restore()

    def _type(self, inputs: Any, whole: bool) -> torch.dtype | None:
        """Return the type of floating-point inputs: that of the parameter that reads them first, if it is known."""
        if self._tapped is None and self._dtype is not None and whole and inputs.is_floating_point():
            self._dtype = self._restoring(lambda: input_type(self._view, inputs[:1].to(self._device)))
        return self._dtype


@contextmanager
def _explained(forward: Forward | None) -> Iterator[None]:
    try:
        yield
    except ElasticError:
        raise
    except Exception as error:
        hint = "forward=lambda model, batch: model(…)" if forward is None else "the `forward` that fits the batches"
        raise ModelError("`model`", "run on the batches of `loader`", first_line(error), hint) from error


def _without_input(model: nn.Module, layers: Sequence[str] | str | None) -> tuple[Sequence[str] | str | None, bool]:
    """Return layers without the inputs, and whether these are requested: a first ``input`` that is no submodule."""
    is_asked = layers is not None and not isinstance(layers, str) and list(layers)[:1] == [INPUT]
    if not is_asked or layers is None or any(name == INPUT for name, _ in model.named_modules()):
        return layers, False
    return list(layers)[1:], True


def _check_features(features: dict[str, Tensor], read: Callable[[int], dict[str, Tensor]]) -> None:
    """Raise a ModelError if features differ in a second pass, or for half of the samples alone, by more than rounding.

    Parameters
    ----------
    features
        Features [b, …] of a batch by layer.
    read
        Computes those of its first samples.
    """
    count = len(next(iter(features.values())))
    again, fewer = read(count), read(count // 2) if count > 1 else {}
    for layer, values in features.items():
        if _differs(values, again[layer]):
            found = "other features in a second forward pass on the same samples"
            hint = "`self.training` as the switch of dropout and noise"
            raise ModelError(f"layer {layer!r}", "be deterministic in evaluation mode", found, hint)
        if fewer and _differs(values[: count // 2], fewer[layer]):
            found = "features that depend on which other samples are in the batch"
            hint = "running statistics in the place of those of the batch (track_running_stats=True), or layer norm"
            raise ModelError(f"layer {layer!r}", "give each sample features of its own", found, hint)


def _differs(first: Tensor, second: Tensor) -> bool:
    """Whether features [b, …] differ by more than amplified rounding; False if infinite ones make that unknown."""
    if first.shape != second.shape:
        return True
    tolerance = min(0.25, max(1e-5, 2**14 * torch.finfo(first.dtype).eps))
    size, apart = first.double().norm(), (first.double() - second.double()).norm()
    return bool(apart > tolerance * size)
