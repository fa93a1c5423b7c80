"""The ledger: bytes of all tensors, operation by operation."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elastic.probes.dispatch import run_operation
from elastic.probes.tensor_leaves import tensor_leaves
from elastic.uncompiled import compiler_not_loaded_by


@compiler_not_loaded_by
class Ledger(TorchDispatchMode):
    """While active, counts the memory of all new tensors on any device.

    Temporary memory inside an operation is not counted. Compared with ``torch.profiler``, which counts it,
    it is a few per cent (the reordered operands of convolutions).

    Attributes
    ----------
    timeline
        Bytes of the new tensors that are still alive, after each operation.
    made
        Bytes of the new tensors of each operation.

    Examples
    --------
    >>> import torch
    >>> ledger = Ledger()
    >>> with ledger:
    ...     a = torch.ones(10, dtype=torch.float64)      # 80 bytes
    ...     b = a + 1                                    # 80 more
    ...     del a
    ...     c = b.view(2, 5)                             # the same memory
    >>> ledger.timeline
    [80, 160, 80]
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.timeline: list[int] = []
        self.made: list[int] = []
        self.live = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count its outputs."""
        output = run_operation(func, args, kwargs)
        before = self.live
        if others := [storage for storage in _storages(output) if storage._cdata not in self._alive]:
            known = {storage._cdata for storage in _storages(args, kwargs)}
            for storage in others:
                if storage._cdata not in known and storage._cdata not in self._alive:
                    self._enter(storage)
        self.made.append(self.live - before)
        self.timeline.append(self.live)
        return output

    def _enter(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()

        def leave(_: object) -> None:
            del self._alive[key]
            self.live -= size

        self._alive[key] = weakref.ref(storage, leave)
        self.live += size


def _storages(*trees: Any) -> list[Any]:
    """Return the storages of the tensors in nested tuples, lists and mappings, which operations take and return."""
    tensors = tensor_leaves(*trees)
    # Sparse tensors have no storage; their component tensors were counted when they were created.
    with torch._C.DisableTorchFunction():  # hidden from an engine's own mode
        return [tensor.untyped_storage() for tensor in tensors if tensor.layout == torch.strided]
