"""Labelled samples in any format, as repeatable batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from elastic.batches.batch import LABELS, raw_labels
from elastic.batches.collating import LABEL_KEYS, collated
from elastic.errors import DegenerateInput
from elastic.models.restorers import restorer_of

#: Samplers with another order, or other samples, in every pass.
DRAWING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
#: Alternatives to a loader that is not repeatable.
FIXED = "DataLoader(…, shuffle=False) and transforms that draw no random numbers, or fixed samples (inputs, labels)"


def batches_of(loader: Any, batch_size: int) -> Iterable[Any]:
    """Return the batches of a loader, of a data set, or of samples in memory, as a repeatable iterable.

    Parameters
    ----------
    loader
        Batches: a DataLoader, a list, any iterable that starts anew each time. Samples, which are put into batches
        here: a Dataset or a list of (input, label), a pair (inputs [n, …], labels [n]), where inputs may be a mapping
        of arrays, or such a mapping with "labels".
    batch_size
        Samples per batch, if ``loader`` does not yield batches.

    Raises
    ------
    DegenerateInput
        If it is none of these, can be iterated only once, or draws random samples.

    Examples
    --------
    >>> import torch
    >>> [y.tolist() for x, y in batches_of((torch.zeros(3, 2), torch.tensor([0, 1, 1])), 2)]
    [[0, 1], [1]]
    >>> [y.tolist() for x, y in batches_of([(0.5, 7), (0.2, 8), (0.1, 9)], 2)]
    [[7, 8], [9]]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise DegenerateInput("`batch_size`", "be a positive integer", repr(batch_size), "batch_size=256")
    if isinstance(loader, Mapping):
        rest = {key: value for key, value in loader.items() if key != LABELS}
        return _Slices(rest, raw_labels(loader), batch_size)
    if _is_pair(loader):
        return _Slices(loader[0], loader[1], batch_size)
    if isinstance(loader, Iterator):
        found = f"a {type(loader).__name__}, which gives its batches once"
        raise DegenerateInput("`loader`", "be gone through twice", found, "a DataLoader, or list(loader)")
    if isinstance(loader, DataLoader):
        _check_sampler(loader)
        return loader
    if isinstance(loader, (str, bytes, Tensor, np.ndarray)) or not (
        isinstance(loader, Iterable) or (isinstance(loader, Sized) and hasattr(loader, "__getitem__"))
    ):
        expected = "be a DataLoader, a list of batches, a Dataset, or a pair"
        raise DegenerateInput("`loader`", expected, f"a {type(loader).__name__}", "(inputs, labels)")
    samples: Any = loader
    first = _first_of(samples)
    if first is None or not _is_label(_label_of(first)):
        batches: Iterable[Any] = samples
        return batches
    collate = collated if isinstance(first, Mapping) else None
    return DataLoader(samples, batch_size=batch_size, collate_fn=collate)


@contextmanager
def kept_generators(loader: Any) -> Iterator[None]:
    """Restore the random generators that a DataLoader draws from, when the block ends."""
    holders = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    generators = {id(g): g for g in (getattr(holder, "generator", None) for holder in holders) if g is not None}
    restorers = [restorer_of(generator, True) for generator in generators.values()]
    try:
        yield
    finally:
        for restore in restorers:
            if restore is not None:
                restore()


class _Slices:
    """Inputs, or a mapping of them, and labels in memory, cut into batches (inputs, labels)."""

    def __init__(self, inputs: Any, labels: Any, size: int) -> None:
        self.inputs, self.labels, self.size = _sliceable(inputs), _sliceable(labels), size
        parts = self.inputs.values() if isinstance(self.inputs, dict) else [self.inputs]
        if wrong := [len(part) for part in parts if len(part) != len(self.labels)]:
            found = f"{wrong[0]} inputs for {len(self.labels)} labels"
            raise DegenerateInput("`loader`", "have one label for each input", found, "(inputs, labels)")

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(self.labels), self.size):
            rows = slice(start, start + self.size)
            inputs = self.inputs
            part = {key: v[rows] for key, v in inputs.items()} if isinstance(inputs, dict) else inputs[rows]
            yield part, self.labels[rows]


def _sliceable(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _sliceable(part) for key, part in values.items()}
    return values if isinstance(values, (Tensor, np.ndarray, list, tuple)) else np.asarray(values)


def _is_pair(loader: Any) -> bool:
    """Whether a loader is (inputs, labels): two items, the second of which has one label per sample."""
    if not isinstance(loader, (tuple, list)) or len(loader) != 2:
        return False
    labels = loader[1]
    if isinstance(labels, (tuple, list)):
        return len(labels) > 0 and all(_is_label(label) for label in labels)
    shape = getattr(labels, "shape", None)
    if shape is None:
        return False
    is_several = len(shape) > 1 and tuple(shape[1:]) != (1,)
    if is_several and isinstance(loader[0], Tensor | np.ndarray) and len(loader[0]) == len(labels):
        hint = "labels.argmax(1) of one-hot rows"
        raise DegenerateInput("`loader`", "have one label a sample, of shape [n]", f"shape {list(shape)}", hint)
    return len(shape) == 1 or tuple(shape[1:]) == (1,)


def _is_label(value: Any) -> bool:
    return not isinstance(value, (Mapping, list, tuple)) and np.ndim(value) == 0


def _first_of(loader: Any) -> Any:
    """Return the first item of a possible sequence of samples; None for iterables of batches or empty ones."""
    indexed = hasattr(loader, "__getitem__") and isinstance(loader, Sized) and not isinstance(loader, IterableDataset)
    if not indexed and not isinstance(loader, IterableDataset):
        return None
    if indexed and len(loader) == 0:
        raise DegenerateInput("`loader`", "give samples", "none", "a data set that is not empty")
    return loader[0] if indexed else next(iter(loader), None)


def _label_of(sample: Any) -> Any:
    """Return the label of a sample, or the labels of a batch."""
    if isinstance(sample, Mapping):
        sample = next(({LABELS: sample[key]} for key in (LABELS, *LABEL_KEYS) if key in sample), sample)
    return raw_labels(sample)


def _check_sampler(loader: DataLoader[Any]) -> None:
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    if type(sampler) in DRAWING:
        found = f"a {type(sampler).__name__}, which draws anew in every pass"
        raise DegenerateInput("`loader`", "give the same samples in the same order in every pass", found, FIXED)
