"""Samples of any format as rows of a table: a model of row numbers is probed like one of arrays.

Probes split, repeat and reorder samples, and pass single ones to ``torch.func``; they do so with one
integer per sample, which `elastic.models.batch_forward.BatchForward` replaces by the sample.
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

#: Key of the mask of tokens that are read, [n, T] of zeros and ones, as in Hugging Face's tokenizers.
MASK = "attention_mask"


class Table:
    """A fixed batch of N samples. It has no attributes in which a model's state could be searched for.

    Parameters
    ----------
    batch
        A nesting of tensors; those of length N have one entry per sample, others are shared.
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
        """Return the mask of tokens of some samples [n, T], None if all are read."""
        mask = mask_of(self.batch) if self.is_padded else None
        return None if mask is None else mask[rows.reshape(len(rows)).to(mask.device)]

    def features(self, rows: Tensor) -> Tensor:
        """Return the model's inputs for some samples as one array [n, d]: all but labels, flattened and joined."""
        inputs = tensors_of(without_labels(self.rows(rows)))
        own = [t.reshape(len(rows), -1) for t in inputs.values() if t.shape[:1] == (len(rows),)]
        return own[0] if len(own) == 1 else torch.cat(own, dim=1)


def tabulated(parts: Mapping[str, tuple[Any, int]]) -> tuple[Table, dict[str, Tensor]]:
    """Return one table of several batches, and the rows [n, 1] of each; equal samples share a row.

    Parameters
    ----------
    parts
        (batch, number of samples) by the name of an argument, for errors.

    Raises
    ------
    DegenerateInput
        If batches contain other tensors, tensors of other shapes, or of another length than their labels.

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
    """Return a batch without its labels."""
    if isinstance(batch, Mapping):
        return {key: part for key, part in batch.items() if key != LABELS}
    return batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 else batch


def mask_of(batch: Any) -> Tensor | None:
    """Return the mask of tokens of each sample [n, T], None if the batch has none."""
    inputs = without_labels(batch)
    mask = inputs.get(MASK) if isinstance(inputs, Mapping) else None
    return mask if isinstance(mask, Tensor) and mask.ndim == 2 else None


def _numbered(tensors: Sequence[Tensor], count: int) -> Tensor:
    """Return for each of N samples the index of the first one with the same bytes."""
    flat = [t.detach().reshape(count, -1).cpu().contiguous().view(torch.uint8).numpy() for t in tensors]
    whole = np.concatenate(flat, axis=1) if flat else np.zeros((count, 0), np.uint8)
    first: dict[bytes, int] = {}
    return torch.tensor([first.setdefault(row.tobytes(), number) for number, row in enumerate(whole)])
