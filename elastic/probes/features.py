"""Features of every layer, computed from a model in batches, repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from elastic.errors import ModelError
from elastic.models.contract import INPUT, TappedModel
from elastic.models.state import ModuleState, restored
from elastic.probes.evaluation import probed


class FeatureStream:
    """A re-iterable stream of ``({layer: features [b, d]}, labels [b])`` of a model in evaluation mode.

    If all features fit into the memory budget they are cached in the first pass; else each pass is another forward
    pass.

    Parameters
    ----------
    model
        Read, never changed.
    inputs, labels
        [n, …] and [n] on the model's device.
    memory_budget
        Most bytes that features may use, in a batch or altogether.
    decide
        Returns the class [b] for which outputs [b, d] are decided; None: the position of the largest.

    Attributes
    ----------
    decisions
        [n] the network's own class of each sample, known after the first full pass (None before).
    """

    def __init__(
        self,
        model: TappedModel,
        inputs: Tensor,
        labels: Tensor,
        *,
        memory_budget: int = 2**30,
        decide: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.labels = labels
        self.decisions: Tensor | None = None
        self._decide = decide or (lambda outputs: outputs.argmax(dim=1))
        self._kept: list[tuple[dict[str, Tensor], Tensor]] | None = None
        with torch.no_grad(), probed(model) as state:
            one = flat_taps(model, inputs[:1], state)
        size = bytes_of(one)
        self._keeps = size * len(labels) <= memory_budget
        # In float64 and with its residuals a batch takes several times its features.
        self._batch = max(1, min(len(labels), 4096, memory_budget // (8 * size)))

    def __call__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Pass over all samples once, in order."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, decisions = [], []
        for inputs, labels in zip(self.inputs.split(self._batch), self.labels.split(self._batch), strict=True):
            with torch.no_grad(), probed(self.model) as state:
                features = flat_taps(self.model, inputs, state)
            decisions.append(self._decide(features[self.model.output]))
            if self._keeps:
                kept.append((features, labels))
            yield features, labels
        self.decisions = torch.cat(decisions)
        self._kept = kept if self._keeps else None


def check_budget(model: TappedModel, inputs: Tensor, memory_budget: int) -> None:
    """Raise a ModelError if the features of one sample take more than a memory budget."""
    with torch.no_grad(), probed(model) as state:
        least = bytes_of(flat_taps(model, inputs[:1], state))
    if least > memory_budget:
        expected = f"be at least {least} bytes, for the features of one sample"
        raise ModelError("`memory_budget`", expected, f"{memory_budget}", "memory_budget: 1GiB, or fewer layers")


def bytes_of(features: Mapping[str, Tensor]) -> int:
    """Return the bytes that features [n, d] of all layers take per sample.

    >>> bytes_of({"hidden": torch.zeros(5, 3), "logits": torch.zeros(5, 2, dtype=torch.float64)})
    28
    """
    return sum(layer.shape[1] * layer.element_size() for layer in features.values())


def gram_matrices(model: TappedModel, inputs: Tensor, memory_budget: int) -> dict[str, Tensor]:
    """Return the inner products [n, n] of the samples' features in the input and in every layer, in float64.

    Features of two blocks of samples are in memory at a time, as large as the budget allows.
    """
    with torch.no_grad(), probed(model):
        width = sum(features.shape[1] for features in flat_taps(model, inputs[:1]).values())
        size = max(1, memory_budget // (2 * 16 * width))  # features as they are and in float64, of both blocks
        blocks = [slice(start, start + size) for start in range(0, len(inputs), size)]
        rows = []
        for block in blocks:
            first = flat_taps(model, inputs[block])
            others = (first if other == block else flat_taps(model, inputs[other]) for other in blocks)
            products = [{name: first[name].double() @ h.double().T for name, h in taps.items()} for taps in others]
            rows.append({name: torch.cat([part[name] for part in products], dim=1) for name in first})
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def flat_taps(model: TappedModel, inputs: Tensor, state: ModuleState | None = None) -> dict[str, Tensor]:
    """Return the features [n, d] of the input and of every layer, flattened at full width.

    Parameters
    ----------
    model, inputs
        The model, restored after the pass, and inputs [n, …].
    state
        State to which the caller restores the model; None: it is restored here.

    Raises
    ------
    ModelError
        If a layer's output does not have one row per sample.
    """
    with restored(model) if state is None else nullcontext():
        taps = {INPUT: model.entering(inputs), **model.taps(inputs)}
    for layer, features in taps.items():
        if features.ndim < 1 or len(features) != len(inputs):
            raise ModelError(
                f"`layers` {layer}",
                "give one row of features a sample",
                f"shape {tuple(features.shape)} for {len(inputs)} inputs",
                "a submodule whose output keeps the batch first",
            )
    return {layer: rows(features) for layer, features in taps.items()}


def rows(features: Tensor) -> Tensor:
    """Return features [n, …] as [n, d], those of shape [n] as [n, 1].

    >>> rows(torch.zeros(2, 3, 4)).shape, rows(torch.zeros(2)).shape
    (torch.Size([2, 12]), torch.Size([2, 1]))
    """
    return features.reshape(len(features), -1)
