"""Validation of labels given by the user: positions of outputs, or targets of a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.arrays import ArrayLike, as_numpy, as_tensor, label_array
from elastic.errors import DegenerateInput


def labels_like(name: str, labels: Any, device: torch.device, *, positions: bool) -> Tensor:
    """Return labels as `elastic.arguments.samples_like` does."""
    return (_whole_numbers if positions else _targets)(f"{name}[1]", labels).to(device)


def _whole_numbers(name: str, labels: ArrayLike) -> Tensor:
    values = label_array(name, labels)
    if values.dtype.kind not in "iubf" or (values.dtype.kind == "f" and not (values == np.floor(values)).all()):
        hint = "np.unique(labels, return_inverse=True)[1]"
        raise DegenerateInput(f"`{name}`", "be positions of logits, as integers", f"{values[:3].tolist()} …", hint)
    return torch.as_tensor(values.astype(np.int64))


def _targets(name: str, labels: ArrayLike) -> Tensor:
    """Return labels [n, …] as numbers: int64, or unchanged if floating-point."""
    array = as_numpy(name, labels)
    if array.ndim < 2:
        array = label_array(name, labels)
    if array.dtype.kind not in "iubf":
        hint = "np.unique(labels, return_inverse=True)[1]"
        raise DegenerateInput(f"`{name}`", "be numbers", f"{array.dtype.name} of shape {list(array.shape)}", hint)
    if array.dtype.kind != "f":
        return torch.as_tensor(array.astype(np.int64))
    tensor = as_tensor(name, labels if array.ndim > 1 else array)
    if not bool(tensor.isfinite().all()):
        raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity among them", "the samples that have labels")
    return tensor
