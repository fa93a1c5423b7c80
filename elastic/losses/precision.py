"""Float64 inside a user's own loss: outputs and tensors of the loss are converted for the duration of a call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

NARROW = (torch.float32, torch.float16, torch.bfloat16)


class Widened(TorchFunctionMode):
    """Passes floating-point tensors to every torch function in float64 while active.

    A loss with float32 class weights or parameters then accepts float64 outputs. Explicit conversions inside the loss
    (``outputs.float()``) still round.

    Examples
    --------
    >>> weight, outputs = torch.tensor([1.0, 3.0]), torch.zeros(1, 2, dtype=torch.float64)
    >>> with Widened():
    ...     torch.nn.functional.cross_entropy(outputs, torch.tensor([1]), weight).dtype
    torch.float64
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function."""
        args, kwargs = tree_map(widened, (args, kwargs or {}))
        return func(*args, **kwargs)


def widened(value: Any) -> Any:
    """Convert a floating-point tensor to float64; return other values unchanged."""
    return value.double() if isinstance(value, Tensor) and value.dtype in NARROW else value
