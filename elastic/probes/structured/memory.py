"""Memory: tangents of memory that a model writes to in place, whichever tensor reads it afterwards."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.probes.structured.duals import Dual, Unsupported, dual, numeric, plain, tangent_of


def storage_of(tensor: Tensor) -> int:
    """Return the identity of the memory that a tensor is a view of, for as long as it is alive."""
    return int(tensor.untyped_storage()._cdata)


@dataclass
class Written:
    """Memory that has been written to: its tangents [c, numbers], and a tensor that keeps it alive."""

    tangents: Tensor
    holder: Tensor

    def strides(self, tensor: Tensor) -> tuple[Any, Any, Any]:
        """Return the position of a view's tangent in the tangents."""
        if tensor.dtype != self.holder.dtype or tensor.is_conj() or tensor.is_neg():
            raise Unsupported("memory written in place", "a view of another type")
        count, numbers = self.tangents.shape
        return (count, *tensor.shape), (numbers, *tensor.stride()), tensor.storage_offset()

    def read(self, tensor: Tensor) -> Tensor:
        """Return the tangent [c, …] of a view of the memory."""
        return self.tangents.as_strided(*self.strides(tensor))

    def write(self, tensor: Tensor, tangent: Tensor | None) -> None:
        """Set the tangent of a view; tangents that have been read are not changed."""
        self.tangents = self.tangents.clone()
        place = self.tangents.as_strided(*self.strides(tensor))
        place.zero_() if tangent is None else place.copy_(tangent)


class Memory:
    """Registry of the duals that view each memory, and of the tangents of memory that has been written to.

    A tangent belongs to a tensor until its memory is written to. From then on it belongs to the memory: every tensor
    that is a view of it, taken before or afterwards, dual or not, reads its tangent there.

    Parameters
    ----------
    count
        Number c of stepped samples.
    parameters
        Tensors whose memory is protected from writes.
    """

    def __init__(self, count: int, parameters: Iterable[Tensor]) -> None:
        self.count = count
        self.protected = {storage_of(p) for p in parameters}
        self.written: dict[int, Written] = {}
        self._duals: dict[int, list[weakref.ref[Dual]]] = {}
        self._waiting: list[weakref.ref[Dual]] = []

    def knows(self, value: Dual) -> bool:
        """Whether a dual comes from this pass."""
        return getattr(value, "memory", None) is self

    def enter(self, value: Dual) -> Dual:
        """Register a dual."""
        value.memory = self
        key = storage_of(value)
        alive = [ref for ref in self._duals.get(key, ()) if ref() is not None]
        self._duals[key] = [*alive, weakref.ref(value)]
        if value.pending is not None:
            self._waiting = [ref for ref in self._waiting if ref() is not None]
            self._waiting.append(weakref.ref(value))
        return value

    def duals(self, tensor: Tensor) -> list[Dual]:
        """Return the duals that view the memory of a tensor."""
        alive = (ref() for ref in self._duals.get(storage_of(tensor), ()))
        return [value for value in alive if value is not None]

    def moving(self, tensor: Tensor) -> bool:
        """Whether the memory of a tensor is known to move."""
        return storage_of(tensor) in self.written or any(not value.still for value in self.duals(tensor))

    def current(self, tensor: Tensor) -> Tensor:
        """Return a tensor with the present tangent of its memory."""
        written = self.written.get(storage_of(tensor)) if self.written else None
        if written is None:
            return tensor
        if not numeric(tensor):
            raise Unsupported("memory written in place", "a view of another type")
        return self.enter(dual(plain(tensor), written.read(tensor)))

    def hold(self, tensor: Tensor) -> Written:
        """Assign the tangent of a tensor's memory to the memory from now on."""
        key = storage_of(tensor)
        if key not in self.written:
            numbers = tensor.untyped_storage().nbytes() // tensor.element_size()
            tangents = plain(tensor).new_zeros(self.count, numbers)
            for value in self.duals(tensor):
                tangent = value.tangent
                if tangent is None:
                    continue
                if value.dtype != tensor.dtype or value.is_conj() or value.is_neg():
                    raise Unsupported("memory written in place", "a view of another type")
                places = torch.arange(numbers, device=tensor.device)
                places = places.as_strided(value.shape, value.stride(), value.storage_offset()).reshape(-1)
                tangents[:, places] = tangent.reshape(self.count, -1)
            self.written[key] = Written(tangents, plain(tensor))
        return self.written[key]

    def write(self, target: Tensor, output: Tensor) -> None:
        """Write an output into a tensor, its value and its tangent.

        Raises
        ------
        Unsupported
            If the memory is that of a parameter or of the input.
        """
        key = storage_of(target)
        if key in self.protected:
            raise Unsupported("an operation in place", "a parameter or the input as its target")
        for value in [value for ref in self._waiting if (value := ref()) is not None and value.pending is not None]:
            if value.pending is not None and storage_of(value.pending.x) == key:
                _ = value.tangent  # deferred: it reads memory that is about to be overwritten
        still = not isinstance(output, Dual) or output.still
        if still and not self.moving(target):
            plain(target).copy_(plain(output))
        elif self._alone(target) and isinstance(output, Dual):
            assert isinstance(target, Dual)
            plain(target).copy_(plain(output))
            target.moved, target.gain, target.pending = output.moved, output.gain, output.pending
            if output.pending is not None:
                _ = target.tangent
        else:
            written, tangent = self.hold(target), tangent_of(output)
            plain(target).copy_(plain(output))
            written.write(target, None if tangent is None else tangent.to(target.dtype))

    def _alone(self, target: Tensor) -> bool:
        """Whether no other tensor views the memory of a tensor."""
        whole = target.untyped_storage().nbytes() == target.numel() * target.element_size()
        others = self.duals(target)
        return whole and storage_of(target) not in self.written and len(others) == 1 and others[0] is target
