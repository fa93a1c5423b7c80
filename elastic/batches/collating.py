"""Collates samples given as mappings into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.batches.batch import LABELS
from elastic.batches.joining import PADDING
from elastic.errors import DegenerateInput

#: Keys that Hugging Face's data collators accept for a label, in addition to `LABELS`.
LABEL_KEYS = ("label", "label_ids")


def is_samples(value: Any) -> bool:
    """Whether an object is a list of mappings, each of them one sample."""
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(part, Mapping) for part in value)


def collated(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return samples as one mapping of tensors [n, …] with "labels"; strings and None are skipped.

    Raises
    ------
    DegenerateInput
        If samples have other keys, or lengths, than the first one.

    Examples
    --------
    >>> collated([{"input_ids": [5, 6], "label": 0, "text": "a b"}, {"input_ids": [7, 8], "label": 1, "text": "c d"}])
    {'input_ids': tensor([[5, 6],
            [7, 8]]), 'labels': tensor([0, 1])}
    """
    first = samples[0]
    keys = [key for key, value in first.items() if value is not None and not isinstance(value, str)]
    batch = {}
    for key in keys:
        if missing := [place for place, sample in enumerate(samples) if key not in sample]:
            raise DegenerateInput("samples", f"have {key!r}, as the first one has", f"none in sample {missing[0]}", key)
        batch[_renamed(key, first)] = _stacked(key, [sample[key] for sample in samples])
    return batch


def _renamed(key: str, sample: Mapping[str, Any]) -> str:
    return LABELS if key in LABEL_KEYS and LABELS not in sample else key


def _stacked(key: str, values: Sequence[Any]) -> Tensor:
    tensors = [_tensor(key, value) for value in values]
    shapes = {tuple(t.shape): None for t in tensors}
    if len(shapes) > 1:
        found = f"{key} of shapes {' and '.join(str(list(shape)) for shape in list(shapes)[:3])}"
        raise DegenerateInput("samples", "have one shape", found, PADDING)
    return torch.stack(tensors)


def _tensor(key: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
        if array.dtype.kind == "f" and not isinstance(value, np.ndarray | np.generic):
            return torch.as_tensor(array, dtype=torch.get_default_dtype())  # as torch converts Python's numbers
        return torch.as_tensor(array)
    except (TypeError, ValueError) as error:
        found = f"{type(value).__name__}: {error}"
        raise DegenerateInput("samples", f"hold numbers under {key!r}", found, "numbers, or leaving it out") from None
