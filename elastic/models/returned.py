"""Output tensors of submodules, and comparison with other tensors: same memory, not modified since."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger("elastic")

#: Keys of the main tensor of Hugging Face's output objects.
MAIN = ("logits", "last_hidden_state")


@dataclass(frozen=True)
class Returned:
    """The output tensor of a submodule.

    Attributes
    ----------
    tensor
        The tensor, kept alive so that its memory is not reused.
    version
        Version counter of its memory when it was returned.

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
        """Wrap a tensor with its current version."""
        return cls(tensor, version_of(tensor))

    def is_same(self, other: Returned) -> bool:
        """Whether another one has the same memory, shape and version."""
        with torch._C.DisableTorchFunction():  # hidden from modes that record functions
            if other.tensor is self.tensor:
                return other.version == self.version
            mine, its = self.tensor, other.tensor
            return mine.shape == its.shape and mine.stride() == its.stride() and self._shares_memory(other)

    def has_same_features(self, other: Returned) -> bool:
        """Whether another one is equal up to flattening: [n, 2, 3] and [n, 6]."""
        with torch._C.DisableTorchFunction():
            mine, its = self.tensor, other.tensor
            in_order = mine.is_contiguous() and its.is_contiguous()
            same_sizes = mine.shape[:1] == its.shape[:1] and mine.numel() == its.numel()
            return self.is_same(other) or (in_order and same_sizes and self._shares_memory(other))

    def is_still(self, tensor: Tensor) -> bool:
        """Whether a tensor has the same memory and shape, not modified since."""
        return self.is_same(Returned.of(tensor))

    def is_read_by(self, entering: Tensor) -> bool:
        """Whether a tensor [n, d] is this one, possibly flattened, not modified since."""
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
    """Return a tensor itself, the first one of a tuple or list, or `MAIN` of an output object; None if there is none.

    >>> first_tensor({"attentions": None, "last_hidden_state": torch.ones(1)}), first_tensor({"x": torch.ones(1)})
    (tensor([1.]), None)
    """
    if isinstance(value, Tensor):
        return value
    parts: Sequence[Any] = value if isinstance(value, (tuple, list)) else ()
    if isinstance(value, Mapping):
        parts = [value.get(key) for key in MAIN]
    return next((part for part in parts if isinstance(part, Tensor)), None)


def warn_of_others(returned: Any) -> None:
    """Log which tensor of a model's tuple is read as its logits [n, K], if another one could be these."""
    parts: Sequence[Any] = returned if isinstance(returned, (tuple, list)) else ()
    tensors = {place: list(part.shape) for place, part in enumerate(parts) if isinstance(part, Tensor)}
    likely = [place for place, shape in tensors.items() if len(shape) == 2 and shape[1] > 1]
    if len(likely) > 1 and likely[0] == min(tensors):
        widths = " and ".join(f"[n, {tensors[place][1]}]" for place in likely)
        text = "the model returns %s: the first is read as its output; output=%d reads the next"
        logger.warning(text, widths, likely[1])


def obstacle_to_reading(tensor: Tensor) -> str:
    """Return what keeps a tensor from being read as features [n, …] of real numbers, or "".

    >>> obstacle_to_reading(torch.zeros(2, 3)), obstacle_to_reading(torch.zeros(2, 0))
    ('', 'no features (shape [2, 0])')
    """
    kind = type(tensor)
    if kind is not Tensor and kind.__torch_function__ is not torch._C._disabled_torch_function_impl:
        return _obstacle(tensor)
    # Hidden from modes that follow functions: these reads would be most of what they are called for.
    with torch._C.DisableTorchFunction():
        return _obstacle(tensor)


def _obstacle(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout != torch.strided:
        return f"a tensor of layout {tensor.layout}"
    if tensor.is_meta:
        return "a tensor on the meta device"
    if tensor.is_complex():
        return str(tensor.dtype).removeprefix("torch.")
    return f"no features (shape {list(tensor.shape)})" if 0 in tensor.shape[1:] else ""


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor is inside a ``torch.func`` transform, where its values are not accessible."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def version_of(tensor: Tensor) -> int:
    """Return the version counter of a tensor's memory; 0 for inference tensors, which have none."""
    with torch._C.DisableTorchFunction():
        return 0 if tensor.is_inference() else int(tensor._version)


def _address(tensor: Tensor) -> int | None:
    """Return the address of a tensor's memory; None inside a ``torch.func`` transform."""
    if is_transformed(tensor):
        return None
    try:
        with torch._C.DisableTorchFunction():
            return tensor.data_ptr() or None
    except RuntimeError:
        return None
