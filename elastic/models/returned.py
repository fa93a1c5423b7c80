"""What a submodule returned, to be compared with the tensors of other code: the same one, and unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Keys of the main tensor of an output object, as Hugging Face names them.
MAIN = ("logits", "last_hidden_state")


@dataclass(frozen=True)
class Returned:
    """A tensor as a submodule returned it.

    Attributes
    ----------
    tensor
        Held, so that no other tensor gets its memory.
    version
        How often its memory had been written to when it was returned.

    Examples
    --------
    >>> h = torch.zeros(2, 3)
    >>> returned = Returned.of(h)
    >>> returned.is_still(h), returned.is_still(h.view(2, 3)), returned.is_still(h.view(3, 2)), returned.is_still(h + 0)
    (True, True, False, False)
    >>> _ = h.add_(1)
    >>> returned.is_still(h)
    False
    """

    tensor: Tensor
    version: int

    @classmethod
    def of(cls, tensor: Tensor) -> Returned:
        """Return a tensor with its version of now."""
        return cls(tensor, version_of(tensor))

    def is_same(self, other: Returned) -> bool:
        """Whether another one is this tensor, or all of the same memory in the same shape, and as often written to."""
        with torch._C.DisableTorchFunction():  # a mode that follows functions is not to see these
            if other.tensor is self.tensor:
                return other.version == self.version
            mine, its = self.tensor, other.tensor
            return mine.shape == its.shape and mine.stride() == its.stride() and self._shares_memory(other)

    def has_same_features(self, other: Returned) -> bool:
        """Whether another one is the same [n, …], or the same flattened: [n, 2, 3] and [n, 6]."""
        with torch._C.DisableTorchFunction():
            mine, its = self.tensor, other.tensor
            in_order = mine.is_contiguous() and its.is_contiguous()
            same_sizes = mine.shape[:1] == its.shape[:1] and mine.numel() == its.numel()
            return self.is_same(other) or (in_order and same_sizes and self._shares_memory(other))

    def is_still(self, tensor: Tensor) -> bool:
        """Whether a tensor is this one, or all of the same memory in the same shape, not written to since."""
        return self.is_same(Returned.of(tensor))

    def is_read_by(self, entering: Tensor) -> bool:
        """Whether a tensor [n, d] is this one, flattened or as it is, not written to since."""
        return entering.ndim == 2 and self.has_same_features(Returned.of(entering))

    def _shares_memory(self, other: Returned) -> bool:
        address = _address(other.tensor)
        return (
            address is not None
            and address == _address(self.tensor)
            and other.tensor.dtype == self.tensor.dtype
            and other.version == self.version
        )


def first_tensor(value: Any) -> Tensor | None:
    """Return a tensor itself, of a tuple or list the first one, of an output object `MAIN`; None where there is none.

    >>> first_tensor({"attentions": None, "last_hidden_state": torch.ones(1)}), first_tensor({"x": torch.ones(1)})
    (tensor([1.]), None)
    """
    if isinstance(value, Tensor):
        return value
    parts: Sequence[Any] = value if isinstance(value, (tuple, list)) else ()
    if isinstance(value, Mapping):
        parts = [value.get(key) for key in MAIN]
    return next((part for part in parts if isinstance(part, Tensor)), None)


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is one of a ``torch.func`` transform, whose numbers cannot be looked at."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor's memory has been written to; 0 of one made in inference mode, which counts nothing."""
    with torch._C.DisableTorchFunction():
        return 0 if tensor.is_inference() else int(tensor._version)


def _address(tensor: Tensor) -> int | None:
    """Return where a tensor's memory begins; None where it has none: inside a ``torch.func`` transform."""
    if is_transformed(tensor):
        return None
    try:
        with torch._C.DisableTorchFunction():
            return tensor.data_ptr() or None
    except RuntimeError:
        return None
