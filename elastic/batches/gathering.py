"""All samples of a Dataset or DataLoader as two tensors: what is probed again and again has to be fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from elastic.batches.batch import inputs_of, raw_labels
from elastic.batches.loading import batches_of, kept_generators
from elastic.batches.repeating import FixedBatches
from elastic.errors import DegenerateInput

#: Samples that a Dataset is asked for at once.
BATCH = 256


def gathered(name: str, samples: Any) -> Any:
    """Return the inputs [n, …] and labels of a Dataset or DataLoader; anything else as it is.

    The samples are passed over twice, and must be the same both times: a loader that shuffles or augments gives other
    samples to every probe. Random generators are left as they were.

    Parameters
    ----------
    name
        Of the argument, for errors.
    samples
        Batches are pairs (inputs, labels), the inputs one array.

    Raises
    ------
    DegenerateInput
        If two passes differ, there are no samples, or batches are of another form.

    Examples
    --------
    >>> from torch.utils.data import TensorDataset
    >>> x, y = gathered("train", TensorDataset(torch.ones(3, 2), torch.tensor([0, 1, 0])))
    >>> tuple(x.shape), y.tolist()
    ((3, 2), [0, 1, 0])
    """
    if not isinstance(samples, DataLoader | Dataset):
        return samples
    try:
        batches = FixedBatches(batches_of(samples, BATCH))
        with kept_generators(samples), torch.random.fork_rng(devices=[]):
            inputs, labels = _read(name, batches)
            for _ in batches:  # compared with the first pass
                pass
    except DegenerateInput as error:
        field = error.field.replace("`loader`", f"`{name}`")
        raise DegenerateInput(field, error.should, error.found, error.hint) from None
    if not inputs:
        raise DegenerateInput(f"`{name}`", "hold samples", "none", f"{name}=(inputs, labels)")
    return torch.cat(inputs), torch.cat(labels)


def _read(name: str, batches: Iterable[Any]) -> tuple[list[Tensor], list[Tensor]]:
    inputs, labels = [], []
    for batch in batches:
        of_batch, found = raw_labels(batch), inputs_of(batch)
        if isinstance(found, Mapping):
            kinds, hint = ", ".join(map(repr, found)), "a collate_fn that returns (inputs, labels)"
            raise DegenerateInput(f"`{name}`", "give one array of inputs a batch", f"a mapping of {kinds}", hint)
        # Copies: a worker's batch lives in shared memory, and a Dataset may return one buffer again and again.
        inputs.append(found.clone())
        labels.append(torch.as_tensor(of_batch).clone())
    return inputs, labels
