"""Repeatable passes over a loader: later passes must yield the same samples as the first."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.batches.loading import FIXED
from elastic.errors import DegenerateInput


class FixedBatches:
    """Batches of a loader, the same in every pass.

    A checksum of every batch, inputs and labels, is stored in the first pass; all later passes are compared with it
    before a batch is used. The order matters: sums of floating-point numbers depend on it in their last digits, and a
    loader that shuffles would otherwise be recognised only after a complete pass.

    Parameters
    ----------
    batches
        Iterated once per pass.

    Raises
    ------
    DegenerateInput
        During a later pass, if a batch differs, or there are more or fewer batches.

    Examples
    --------
    >>> x = torch.zeros(1, 2)
    >>> batches = FixedBatches([(x, [0])])
    >>> len(list(batches)), x.add_(1).sum().item()
    (1, 2.0)
    >>> list(batches)
    Traceback (most recent call last):
      ...
    elastic.errors.DegenerateInput: `loader` should give the same samples ...; found another batch 1 in pass 2; ...
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = batches
        self._passes = 0
        self._digests: list[bytes] = []

    def __iter__(self) -> Iterator[Any]:
        self._passes += 1
        is_first, count = self._passes == 1, 0
        if is_first:
            self._digests = []
        for count, batch in enumerate(self.batches, start=1):
            digest = checksum(batch)
            if is_first:
                self._digests.append(digest)
            elif count > len(self._digests) or digest != self._digests[count - 1]:
                raise self._differing(f"another batch {count} in pass {self._passes}")
            yield batch
        if count != len(self._digests):
            raise self._differing(f"{count} batches in pass {self._passes} after {len(self._digests)}")

    def _differing(self, found: str) -> DegenerateInput:
        return DegenerateInput("`loader`", "give the same samples in the same order in every pass", found, FIXED)


def checksum(batch: Any) -> bytes:
    """Return a checksum of the keys, types, shapes and bytes of all parts of a batch.

    Raises
    ------
    DegenerateInput
        If it contains an object of unknown content.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1])
    >>> checksum((x, y)) == checksum((x.clone(), y)), checksum((x, y)) == checksum((x.flip(0), y.flip(0)))
    (True, False)
    """
    total = hashlib.sha1(usedforsecurity=False)  # the fastest in Python
    _add(batch, total)
    return total.digest()


def _add(value: Any, total: Any) -> None:
    """Add a nesting to a checksum."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            total.update(repr(key).encode())
            _add(part, total)
    elif isinstance(value, (list, tuple)):
        total.update(f"sequence of {len(value)}".encode())
        for part in value:
            _add(part, total)
    elif isinstance(value, Tensor) and value.layout == torch.strided:
        total.update(f"{value.dtype} {tuple(value.shape)}".encode())
        total.update(
            value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        )
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        total.update(f"{value.dtype} {value.shape}".encode())
        total.update(np.ascontiguousarray(value).tobytes())
    else:
        _add_object(value, total)


def _add_object(value: Any, total: Any) -> None:
    try:
        total.update(pickle.dumps(value))
    except Exception as error:
        found, hint = f"a {type(value).__name__}, which cannot be pickled to be compared", "tensors, arrays and texts"
        raise DegenerateInput("batches of `loader`", "hold what can be compared", found, hint) from error
