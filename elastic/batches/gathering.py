"""Collects all samples of a Dataset or DataLoader into one batch, because repeated probes need fixed samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from elastic.arrays import as_numbers
from elastic.batches.batch import LABELS, as_tensors, inputs_of, raw_labels
from elastic.batches.collating import collated, is_samples
from elastic.batches.joining import PADDING, end_to_end
from elastic.batches.loading import batches_of, kept_generators
from elastic.batches.nesting import mapped
from elastic.batches.repeating import FixedBatches
from elastic.errors import DegenerateInput
from elastic.models.preservation import generators_preserved

#: Samples requested from a Dataset at once.
BATCH = 256


@dataclass(frozen=True)
class Gathered:
    """All samples.

    Attributes
    ----------
    inputs
        Inputs of a model: an array [n, …], or a mapping of its keyword arguments.
    labels
        [n], or targets of the loss [n, …].
    batch
        The batch in the format of user code: (inputs, labels), or a mapping with "labels".
    """

    inputs: Any
    labels: Any
    batch: Any

    @property
    def is_nested(self) -> bool:
        """Whether the inputs are not a single array."""
        return not _is_array(self.inputs, self.labels)


def gathered(name: str, samples: Any, *, whole: bool = False) -> Gathered:
    """Return all samples of an argument.

    A Dataset or DataLoader is read twice, and must yield the same samples both times: one that shuffles or augments
    would yield other samples to every probe. Random generators are restored.

    Parameters
    ----------
    name
        Of the argument, for errors.
    samples
        A pair (inputs, labels); a mapping of a model's keyword arguments with "labels" among them, also one of Hugging
        Face; a list of such mappings, or of pairs (array, label), one per sample; or a Dataset or DataLoader of pairs
        or such mappings.
    whole
        Whether a user's function takes the batch: then the inputs may be any nesting of tensors.

    Raises
    ------
    DegenerateInput
        If two passes differ, there are no samples, or batches have another format.

    Examples
    --------
    >>> from torch.utils.data import TensorDataset
    >>> found = gathered("train", TensorDataset(torch.ones(3, 2), torch.tensor([0, 1, 0])))
    >>> tuple(found.inputs.shape), found.labels.tolist()
    ((3, 2), [0, 1, 0])
    >>> gathered("train", [{"ids": [1, 2], "labels": 0}, {"ids": [3, 4], "labels": 1}]).inputs["ids"].tolist()
    [[1, 2], [3, 4]]
    """
    with _named(name), generators_preserved():  # the samples of a Dataset may be drawn
        if is_samples(samples):
            samples = collated(samples)
        elif isinstance(samples, DataLoader | Dataset) or _is_dataset(samples) or _is_pairs(samples):
            samples = _read(name, samples)
        if isinstance(samples, Mapping):
            tensors = {key: _rectangular(key, value) for key, value in samples.items()}
            return Gathered(inputs_of(tensors), raw_labels(tensors), tensors)
    if not isinstance(samples, tuple | list) or len(samples) != 2:
        found = f"a {type(samples).__name__}" + (f" of {len(samples)}" if isinstance(samples, tuple | list) else "")
        hint = f"{name}=(inputs, labels), a mapping with 'labels', or a Dataset or DataLoader"
        raise DegenerateInput(f"`{name}`", "be a pair", found, hint)
    inputs, labels = samples
    if not _is_array(inputs, labels):
        if not (whole or isinstance(inputs, Mapping)):
            found = f"a {type(inputs).__name__} of {len(inputs)} arrays"
            hint = "forward=lambda model, batch: model(*batch[0])"
            raise DegenerateInput(f"`{name}[0]`", "be one array, or a mapping of keyword arguments", found, hint)
        inputs = as_nested(inputs)
    elif whole:  # of which rows are taken
        inputs = as_numbers(f"{name}[0]", inputs)
        labels = labels if isinstance(labels, Tensor) else as_tensors(np.asarray(labels))
    return Gathered(inputs, labels, (inputs, labels))


def as_nested(inputs: Any) -> Any:
    """Convert NumPy arrays in a nesting to tensors."""
    if isinstance(inputs, Mapping):
        return {key: _rectangular(key, as_nested(part)) for key, part in inputs.items()}
    if isinstance(inputs, tuple | list) and any(isinstance(part, Tensor | np.ndarray | Mapping) for part in inputs):
        return tuple(as_nested(part) for part in inputs)
    return as_tensors(inputs)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Name the argument in errors."""
    try:
        yield
    except DegenerateInput as error:
        field = error.field.replace("`loader`", f"`{name}`")
        field = f"`{name}`" if field in ("samples", f"batches of `{name}`", "inputs of a batch") else field
        raise DegenerateInput(field, error.expected, error.found, error.hint) from None


def _is_array(inputs: Any, labels: Any) -> bool:
    """Whether inputs are one array [n, …], or one row per label, and not several arrays."""
    if isinstance(inputs, Mapping):
        return False
    several = isinstance(inputs, tuple | list) and any(isinstance(p, Tensor | np.ndarray | Mapping) for p in inputs)
    if not several:
        return True
    return len(inputs) == len(labels) and not any(isinstance(part, Mapping) for part in inputs)


def _is_dataset(samples: Any) -> bool:
    """Whether an object has the interface of a data set, as those of Hugging Face have."""
    known = isinstance(samples, Mapping | list | tuple | str | Tensor | np.ndarray)
    return not known and hasattr(samples, "__getitem__") and hasattr(samples, "__len__")


def _is_pairs(samples: Any) -> bool:
    """Whether an object is a list of samples, each an array (or a mapping) and one label.

    >>> x = torch.zeros(2)
    >>> _is_pairs([(x, 0), (x, 1)]), _is_pairs([[x, x], [0, 1]]), _is_pairs([[0.5, 0], [0.2, 1], [0.1, 0]])
    (True, False, False)
    """
    return isinstance(samples, list | tuple) and len(samples) > 0 and all(map(_is_sample, samples))


def _is_sample(item: Any) -> bool:
    if not isinstance(item, list | tuple) or len(item) != 2:
        return False
    inputs, label = item
    is_input = isinstance(inputs, Mapping) or (isinstance(inputs, Tensor | np.ndarray) and inputs.ndim > 0)
    return is_input and not isinstance(label, Mapping | list | tuple) and np.ndim(label) == 0


def _rectangular(key: str, value: Any) -> Any:
    """Convert a list of numbers, or of lists of equal length, to a tensor; return anything else unchanged."""
    if not isinstance(value, list) or not value or isinstance(value[0], str | Tensor):
        return as_tensors(value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise DegenerateInput("samples", "have one length", f"lists of several under {key!r}", PADDING) from None
    return as_tensors(array)


def _read(name: str, samples: Any) -> Any:
    """Concatenate the batches of a loader."""
    if _is_dataset(samples) and len(samples) and isinstance(samples[0], Mapping):
        samples = DataLoader(samples, batch_size=BATCH, collate_fn=collated)
    batches = FixedBatches(batches_of(samples, BATCH))
    with kept_generators(samples):
        # Copies: batches of workers are in shared memory, and a Dataset may return the same buffer each time.
        kept = [mapped(_plain(batch), torch.clone) for batch in batches]
        for _ in batches:  # compare with the first pass
            pass
    if not kept:
        raise DegenerateInput(f"`{name}`", "hold samples", "none", f"{name}=(inputs, labels)")
    names = [f"batch {number} of `{name}`" for number in range(1, len(kept) + 1)]
    return end_to_end(kept, [len(raw_labels(batch)) for batch in kept], names)


def _plain(batch: Any) -> Any:
    """Return a batch with tensors for labels and inputs."""
    labels = torch.as_tensor(raw_labels(batch))
    if isinstance(batch, Mapping):
        return {key: _rectangular(key, value) for key, value in batch.items()} | {LABELS: labels}
    return (inputs_of(batch) if _is_array(batch[0], labels) else as_nested(batch[0]), labels)
