"""What a submodule returned, to be compared with the tensors of other code: the same one, and unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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

    def is_still(self, other: Tensor) -> bool:
        """Whether another tensor is this one, or all of the same memory in the same shape, not written to since."""
        with torch._C.DisableTorchFunction():  # a mode that follows functions is not to see these
            if other is self.tensor:
                return version_of(other) == self.version
            same_places = other.shape == self.tensor.shape and other.stride() == self.tensor.stride()
            return same_places and self._in_memory(other)

    def is_read_by(self, entering: Tensor) -> bool:
        """Whether the [n, d] tensor is this output, flattened or as it is, with the values of then."""
        flat = (len(self.tensor), self.tensor[0].numel()) if self.tensor.ndim and len(self.tensor) else ()
        in_order = entering.is_contiguous() and self.tensor.is_contiguous()
        return entering.shape == flat and in_order and self._in_memory(entering)

    def _in_memory(self, other: Tensor) -> bool:
        address = address_of(other)
        return (
            address is not None
            and address == address_of(self.tensor)
            and other.dtype == self.tensor.dtype
            and version_of(other) == self.version
        )


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor's memory has been written to; 0 of one made in inference mode, which counts nothing."""
    with torch._C.DisableTorchFunction():
        return 0 if tensor.is_inference() else int(tensor._version)


def address_of(tensor: Tensor) -> int | None:
    """Return where a tensor's memory begins; None where it has none: inside a ``torch.func`` transform."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return None
    try:
        with torch._C.DisableTorchFunction():
            return tensor.data_ptr() or None
    except RuntimeError:
        return None
