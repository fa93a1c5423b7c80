"""Samples of any form, of which a sample is a row: a model that takes row numbers is probed like one of arrays.

A probe takes samples apart, repeats and reorders them, and hands single ones to ``torch.func``; it does so with one
integer a sample, which a `elastic.models.batch_forward.BatchForward` turns into the sample itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.batches.batch import LABELS, placed
from elastic.batches.joining import end_to_end
from elastic.batches.nesting import mapped, tensors_of
from elastic.errors import DegenerateInput

#: Key of which tokens of a sequence are read, [n, T] of zeros and ones, as Hugging Face's tokenizers write it.
MASK = "attention_mask"


class Table:
    """A batch of N samples, fixed. It has no attributes that a model's state could be looked for in.

    Parameters
    ----------
    batch
        A nesting of tensors; those of length N hold one entry a sample, others are shared.
    count
        N.

    Examples
    --------
    >>> table = Table({"ids": torch.tensor([[4, 5], [6, 7]]), "scale": torch.ones(1)}, 2)
    >>> table.rows(torch.tensor([[1]]))
    {'ids': tensor([[6, 7]]), 'scale': tensor([1.])}
    >>> table.features(torch.tensor([[1], [0]])).tolist()
    [[6, 7], [4, 5]]
    """

    __slots__ = ("batch", "count", "is_padded")

    def __init__(self, batch: Any, count: int) -> None:
        self.batch, self.count = batch, count
        mask = mask_of(batch)
        self.is_padded = mask is not None and not bool(mask.bool().all())

    def rows(self, rows: Tensor, dtype: torch.dtype | None = None) -> Any:
        """Return a copy of some samples, by their numbers [n] or [n, 1]; floating-point ones in a type."""
        index = rows.reshape(len(rows))
        chosen = mapped(self.batch, lambda t: t[index.to(t.device)] if t.shape[:1] == (self.count,) else t.clone())
        return chosen if dtype is None else placed(chosen, None, dtype)

    def mask(self, rows: Tensor) -> Tensor | None:
        """Return which tokens of some samples are read [n, T], None where all are."""
        mask = mask_of(self.batch) if self.is_padded else None
        return None if mask is None else mask[rows.reshape(len(rows)).to(mask.device)]

    def features(self, rows: Tensor) -> Tensor:
        """Return what enters the model of some samples as one array [n, d]: all but the labels, flattened, joined."""
        inputs = tensors_of(without_labels(self.rows(rows)))
        own = [t.reshape(len(rows), -1) for t in inputs.values() if t.shape[:1] == (len(rows),)]
        return own[0] if len(own) == 1 else torch.cat(own, dim=1)


def tabulated(parts: Mapping[str, tuple[Any, int]]) -> tuple[Table, dict[str, Tensor]]:
    """Return one table of several batches, and the rows [n, 1] of each; samples that are equal have the same row.

    Parameters
    ----------
    parts
        (batch, number of samples) by the name of an argument, for errors.

    Raises
    ------
    DegenerateInput
        If batches hold other tensors, tensors of other shapes, or of another length than their labels.

    Examples
    --------
    >>> first, second = {"x": torch.tensor([3, 4])}, {"x": torch.tensor([4])}
    >>> table, rows = tabulated({"stepped": (first, 2), "observed": (second, 1)})
    >>> rows["stepped"].tolist(), rows["observed"].tolist()
    ([[0], [1]], [[1]])
    """
    batches, counts = zip(*parts.values(), strict=True)
    table = Table(end_to_end(batches, counts, [f"`{name}`" for name in parts]), sum(counts))
    for place, tensor in tensors_of(table.batch).items():
        if tensor.ndim and len(tensor) not in (1, table.count):
            found = f"{place or 'inputs'} of shape {list(tensor.shape)} for {table.count} labels"
            raise DegenerateInput(
                f"`{next(iter(parts))}`", "hold one entry a label", found, "one label for each sample"
            )
    tensors = list(tensors_of(table.batch).values())
    numbers = _numbered([t for t in tensors if t.shape[:1] == (table.count,)], table.count)
    numbers = numbers.to(tensors[0].device if tensors else None).reshape(-1, 1)
    return table, dict(zip(parts, numbers.split(counts), strict=True))


def without_labels(batch: Any) -> Any:
    """Return the part of a batch that is no label."""
    if isinstance(batch, Mapping):
        return {key: part for key, part in batch.items() if key != LABELS}
    return batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 else batch


def mask_of(batch: Any) -> Tensor | None:
    """Return which tokens of each sample are read [n, T], None where the batch does not say."""
    inputs = without_labels(batch)
    mask = inputs.get(MASK) if isinstance(inputs, Mapping) else None
    return mask if isinstance(mask, Tensor) and mask.ndim == 2 else None


def _numbered(tensors: Sequence[Tensor], count: int) -> Tensor:
    """Return for each of N samples the number of the first one that is equal to it in every byte."""
    flat = [t.detach().reshape(count, -1).cpu().contiguous().view(torch.uint8).numpy() for t in tensors]
    whole = np.concatenate(flat, axis=1) if flat else np.zeros((count, 0), np.uint8)
    first: dict[bytes, int] = {}
    return torch.tensor([first.setdefault(row.tobytes(), number) for number, row in enumerate(whole)])
