"""One batch: a pair of inputs and labels, or a mapping of a model's keyword arguments with "labels" among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.arrays import Array, as_numbers, label_array
from elastic.batches.nesting import mapped
from elastic.errors import DegenerateInput, ModelError

#: Key of a mapping's labels, as in Hugging Face's data collators.
LABELS = "labels"


def labels_of(batch: Any) -> Array:
    """Return the labels [n] of a batch, numbers or strings.

    Raises
    ------
    DegenerateInput
        If the batch is neither a pair nor a mapping with "labels", or has not one known label per sample.

    Examples
    --------
    >>> labels_of((torch.zeros(2, 3), torch.tensor([4, 5]))), labels_of({"ids": torch.zeros(1, 2), "labels": ["cat"]})
    (array([4, 5]), array(['cat'], dtype='<U3'))
    """
    labels = raw_labels(batch)
    if np.ndim(labels) == 0 and not isinstance(labels, (list, tuple)):
        hint = "DataLoader(dataset, batch_size=256), or the dataset itself"
        raise DegenerateInput("`loader`", "give batches, with one label for each sample", "one label", hint)
    return label_array("labels", labels)


def raw_labels(batch: Any) -> Any:
    """Return the labels of a batch, or the label of a sample, unchanged.

    Raises
    ------
    DegenerateInput
        If it is neither a pair nor a mapping with "labels".
    """
    if isinstance(batch, Mapping):
        if LABELS in batch:
            return batch[LABELS]
        found = f"a mapping of {', '.join(map(repr, batch))}"
    elif isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[1]
    else:
        found = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, (tuple, list)) else "")
    hint = "a collate_fn that returns one of these"
    raise DegenerateInput("batches of `loader`", 'be (inputs, labels), or mappings with "labels"', found, hint)


def inputs_of(batch: Any) -> Any:
    """Return the part of a batch that a model takes: a tensor [n, …], or the mapping of its keyword arguments.

    Integer and boolean inputs keep their type.

    Raises
    ------
    DegenerateInput
        If a pair's inputs are neither an array with one entry for each label nor a mapping.

    Examples
    --------
    >>> inputs_of(([[1, 2], [3, 4]], [0, 1])).dtype
    torch.int64
    >>> inputs_of({"ids": torch.zeros(1, 2), "mask": torch.ones(1, 2), "labels": torch.tensor([3])})
    {'ids': tensor([[0., 0.]]), 'mask': tensor([[1., 1.]])}
    """
    if isinstance(batch, Mapping):
        return {key: as_tensors(value) for key, value in batch.items() if key != LABELS}
    inputs, labels = batch
    if isinstance(inputs, Mapping):
        return {key: as_tensors(value) for key, value in inputs.items()}
    if isinstance(inputs, (tuple, list)) and inputs and isinstance(inputs[0], Tensor) and len(inputs) != len(labels):
        found, hint = f"a {type(inputs).__name__} of {len(inputs)} tensors", "forward=lambda model, batch: model(…)"
        raise DegenerateInput("inputs of a batch", f"be one array for {len(labels)} labels, or a mapping", found, hint)
    tensor = as_numbers("inputs", inputs)
    if len(tensor) != len(labels):
        found = f"{len(tensor)} inputs for {len(labels)} labels"
        raise DegenerateInput("batches of `loader`", "have one label for each input", found, "(inputs, labels)")
    return tensor


def placed(batch: Any, device: torch.device | None, dtype: torch.dtype | None) -> Any:
    """Return a batch with its tensors on a device, floating-point ones in a type if one is given.

    >>> placed({"ids": torch.tensor([1]), "x": torch.ones(1)}, torch.device("cpu"), torch.float64)
    {'ids': tensor([1]), 'x': tensor([1.], dtype=torch.float64)}
    """
    return mapped(batch, lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None))


def rows_of(batch: Any, rows: Tensor, count: int) -> Any:
    """Return a copy of some samples of a batch of ``count``; tensors of another length are copied as a whole.

    >>> rows_of({"x": torch.tensor([1, 2]), "shared": torch.ones(3)}, torch.tensor([1]), 2)
    {'x': tensor([2]), 'shared': tensor([1., 1., 1.])}
    """
    return mapped(batch, lambda t: t[rows.to(t.device)] if t.shape[:1] == (count,) else t.clone())


def as_tensors(value: Any) -> Any:
    """Convert NumPy arrays of numbers to tensors; integers and booleans keep their type."""
    is_number = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return as_numbers("inputs", value) if is_number and value.ndim else value


def place_of(model: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Return the device of a model and the type of its first floating-point parameter, None if there is none.

    Raises
    ------
    ModelError
        If the parameters have no values: on the device meta, or in a lazy module that has not run.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(nn.parameter.is_lazy(t) or t.is_meta for t in tensors):
        hint = "one forward pass before, or model.to_empty(device=…) and a load"
        raise ModelError("`model`", "have values", "parameters without any", hint)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)
    return (tensors[0].device if tensors else None), dtype
