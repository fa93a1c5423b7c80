"""The structured engine: movements of all pairs, block by block, along steps that are never formed."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from elastic.losses import LossGradient
from elastic.models.contract import TappedModel
from elastic.probes.autodiff import layer_features
from elastic.probes.engine import Engine, Layers
from elastic.probes.evaluation import probed
from elastic.probes.features import rows
from elastic.probes.structured.paired import PairedSteps, Unpaired, paired
from elastic.probes.structured.propagation import propagate
from elastic.probes.structured.recording import Recording
from elastic.probes.structured.steps import Steps


class Structured(Engine):
    """Tangents of all stepped samples beside one pass of values.

    For a finite step, differences are propagated layer by layer, not computed from two forward passes, and are exact
    however small the step is. A step along the unit gradient of the loss of length η‖∂ℓ/∂h‖ is the same, so
    that ‖∂ℓ/∂h‖ is a separate factor here too.

    Raises
    ------
    Unsupported
        If a part of the model has no rule.
    """

    # Measured on CPUs: below, the overhead of each operation shows; above, tangents leave the cache between
    # two operations, and freed memory has to be requested again.
    cached: ClassVar[dict[str, int]] = {"cpu": 2**22, "cuda": 2**28}

    def __init__(self, model: TappedModel, example: Tensor, lr: float | None = None, layer: str | None = None) -> None:
        super().__init__(model, example, lr, layer)
        with torch.no_grad(), probed(model):
            self.recording = Recording(model, example, self.layer)
        #: Whether a pass has been checked for operations outside torch functions.
        self.looked = False

    def features(self, inputs: Tensor) -> Layers:
        """Return features; buffers and inputs are not changed."""
        return layer_features(self.model, {}, inputs)

    def steps(self, inputs: Tensor, gradient: LossGradient) -> Steps:
        """Return the steps on c samples alone."""
        dtype = self.recording.dtype
        size = None if self.lr is None else (self.lr * gradient.norm).to(dtype)
        with self.restoring():
            return self.recording.steps(inputs, gradient.direction.to(dtype), size)

    def apart(self, steps: Steps) -> Steps:
        """Return the same steps with a cache of their own."""
        return steps.apart()

    def moved(self, steps: Steps, inputs: Tensor) -> tuple[Layers, Layers]:
        """Return movements and features."""
        moved, features = {}, {}
        # Operations outside torch functions are searched once: in the trial of the engine, on one sample.
        guarded = not self.looked and steps.count == 1 and not isinstance(steps, PairedSteps)
        self.looked = self.looked or not isinstance(steps, PairedSteps)
        with self.restoring():
            propagated = propagate(self.model, steps, inputs, guarded=guarded)
        for layer, (value, tangent) in propagated.items():
            if tangent is None:
                tangent = value.new_zeros(steps.count, *value.shape)
            moved[layer], features[layer] = tangent.reshape(*tangent.shape[:2], -1), rows(value)
        return moved, features

    def own(self, steps: Steps, inputs: Tensor, at_a_time: int) -> Layers:
        """Return own movements: of all samples in one pass, or from small blocks if the pass does not separate them.

        A block holds all pairs among some stepped samples.
        """
        try:
            return {layer: moved[0] for layer, moved in self.moved(paired(steps), inputs)[0].items()}
        except Unpaired:
            pass
        parts: dict[str, list[Tensor]] = {layer: [] for layer in self.model.layers}
        for start in range(0, len(inputs), at_a_time):
            part = slice(start, start + at_a_time)
            # Values that rules derive from steps are kept if these are all steps.
            some = steps if len(inputs) <= at_a_time else steps.rows(part)
            for layer, moved in self.moved(some, inputs[part])[0].items():
                # A copy: a diagonal would keep the whole block in memory.
                parts[layer].append(moved.diagonal().mT.clone())
        return {layer: torch.cat(own) for layer, own in parts.items()}
