"""The group ``tangent_kernel``: inner products of samples' gradients in each layer, by classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from elastic.data.preparation import draws
from elastic.data.transforms import choose_per_class
from elastic.errors import ModelError
from elastic.metrics.tangent_kernel import GROUP, TangentKernel
from elastic.probes.autodiff import descent, trained_parameters
from elastic.probes.batching import Batching
from elastic.probes.contract import Label, MetricProbe, Subject, probe
from elastic.probes.evaluation import probed
from elastic.probes.features import flat_taps
from elastic.probes.last_layer import read_last_layer, why_not_equal, why_not_read
from elastic.probes.preconditions import check_preconditions

KERNEL, LAST = "tangent_kernel", "last_layer"
#: Draws of samples and of directions, independent of those of other probes (`elastic.probes.samples`).
SAMPLES_DRAW, DIRECTIONS_DRAW = 29, 31


class TangentKernelProbe(MetricProbe):
    """Reads the tangent kernel of fixed train samples, along all features of a layer or along random directions."""

    group = GROUP

    def __init__(self, subject: Subject, per_class: int, directions: int) -> None:
        super().__init__(subject.model.layers)
        self.subject, self.directions = subject, directions
        train = subject.samples["train"]
        index = choose_per_class(train.labels.cpu(), per_class, draws(subject.seed, SAMPLES_DRAW))
        self.samples = train.take(index.to(train.labels.device))
        self.batching = Batching()
        self.lacking = why_not_read(subject)
        if why := self.lacking or why_not_equal(subject):
            self.notes.append(f"the invariant of the tangent kernel is not measured: {why}")

    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the kernel of each layer, and the last layer's weights and features if a linear module reads them."""
        return {layer: {KERNEL} for layer in self.layers}, () if self.lacking else {LAST}

    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return names of layers and classes."""
        classes = self.subject.classes
        return {"layer": self.layers, "class": classes, "other_class": classes}

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget is too small for the gradients of two samples."""
        self._block()

    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the kernel of each layer, and the last layer.

        Raises
        ------
        ModelError
            If the features are random or depend on the batch (`check_preconditions`), or the budget is too small.
        """
        model, kernels = self.subject.model, {}
        with probed(model, parameters=True):
            check_preconditions(model, self.samples.inputs)
            with torch.no_grad():
                taps = flat_taps(model, self.samples.inputs[:1])
                for layer in self.layers:
                    seeds, exact = self._seeds(taps[layer])
                    grams = torch.stack([self._gram(layer, seed) for seed in seeds])
                    kernels[layer] = {
                        KERNEL: TangentKernel(grams, self.samples.labels, len(self.subject.classes), exact)
                    }
            last = (
                {} if self.lacking else {LAST: read_last_layer(self.subject, kernels[model.penultimate or ""][KERNEL])}
            )
        return kernels, last

    def _seeds(self, features: Tensor) -> tuple[Tensor, bool]:
        """Return the directions [R, d] of a layer, the same at every epoch, and whether they are all its features."""
        width = features.shape[1]
        if width <= self.directions:
            return torch.eye(width, dtype=features.dtype, device=features.device), True
        signs = torch.randint(0, 2, (self.directions, width), generator=draws(self.subject.seed, DIRECTIONS_DRAW))
        return (2 * signs - 1).to(features), False

    def _gram(self, layer: str, seed: Tensor) -> Tensor:
        """Return the inner products [n, n] of the samples' gradients along one direction, in blocks of samples."""
        size, count = self._block(), len(self.samples)
        blocks = [slice(start, start + size) for start in range(0, count, size)]
        gram = torch.zeros(count, count, dtype=torch.float64, device=seed.device)
        for number, rows in enumerate(blocks):
            first = self._gradients(layer, rows, seed)
            for columns in blocks[number:]:
                other = first if columns == rows else self._gradients(layer, columns, seed)
                products = first @ other.T
                gram[rows, columns], gram[columns, rows] = products, products.T
        return gram

    def _gradients(self, layer: str, rows: slice, seed: Tensor) -> Tensor:
        """Return the gradients [c, parameters] of v·h(x) in float64."""
        inputs = self.samples.inputs[rows]
        parameters = trained_parameters(self.subject.model)
        steps = descent(self.subject.model, layer, parameters, inputs, seed.expand(len(inputs), -1), self.batching)
        return torch.cat([step.flatten(1).double() for step in steps.values()], dim=1)

    def _block(self) -> int:
        """Return how many samples' gradients fit into the memory budget, in two blocks at once."""
        size = sum(parameter.numel() for parameter in trained_parameters(self.subject.model).values())
        # Each block in the model's type, in float64, and in the concatenation by torch.
        fitting = self.subject.memory_budget // (2 * 20 * size)
        if fitting < 1:
            expected = f"be at least {40 * size} bytes, for the gradients of two samples"
            found = f"{self.subject.memory_budget}"
            raise ModelError("`memory_budget`", expected, found, "probes: {memory_budget: 4GiB}, or no tangent_kernel")
        return min(fitting, len(self.samples))


@probe(group=GROUP, dims=("layer", "class", "other_class"))
def tangent_kernel(
    subject: Subject,
    *,
    per_class: Annotated[int, Field(ge=2)] = 8,
    directions: Annotated[int, Field(ge=2)] = 16,
) -> TangentKernelProbe:
    """Tangent kernel of every layer by classes; its alignment, NC1 of its features, and the invariant of its theorem.

    The kernel sums over all features of a layer that has no more of them than directions, as mostly the outputs. Of
    wider layers it is the mean over random directions of signs, drawn once a run, whose standard error is recorded. The
    loss has no part in it. The invariant is of the last layer's weights and of the features of all train samples, where
    a linear module takes these features as they are. Sources: seleznova2023neural, kothapalli2025kernel.

    Parameters
    ----------
    subject
        Model and train samples.
    per_class
        Train samples of each class.
    directions
        Features up to which a layer's kernel is exact, and random directions of wider layers.

    Raises
    ------
    ModelError
        If the memory budget is too small for the gradients of two samples.
    """
    return TangentKernelProbe(subject, per_class, directions)
