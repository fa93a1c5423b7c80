"""The guard: detects operations on moving tensors outside torch functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elastic.probes.dispatch import run_operation
from elastic.probes.structured.duals import Unsupported, tensors_of
from elastic.probes.structured.memory import Memory
from elastic.uncompiled import compiler_not_loaded_by


@compiler_not_loaded_by
class Guard(TorchDispatchMode):
    """Refuses operations that would silently drop a tangent, such as those of ``torch.jit.script``.

    Parameters
    ----------
    memory
        Memory that knows the moving tensors.
    following
        Returns whether a torch function is being followed; its operations are known.
    """

    def __init__(self, memory: Memory, following: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory, self.following = memory, following

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            if not self.following() and any(map(self.memory.moving, tensors_of(args, kwargs))):
                raise Unsupported(f"`{func}`", "an operation that torch functions do not show")
            return run_operation(func, args, kwargs)
