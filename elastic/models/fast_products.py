"""Linear layers by oneDNN, which takes the whole width of vectors on every processor that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: oneDNN's linear layer, which torch itself calls in compiled models.
_ONEDNN: Callable[..., Tensor] | None = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
)

#: Fewer rows, or fewer weights, take no less time.
ROWS, WEIGHTS = 64, 4096


class FastProducts(TorchFunctionMode):
    """While active, large linear layers of float32 are computed by oneDNN; gradients must be off.

    A layer of sequences [n, T, d], a subclass of Tensor and autocast are left to torch.

    ``torch.nn.functional.linear`` calls MKL, which takes half the width of vectors on processors that are not Intel's:
    0.74 ms in place of 1.67 ms for 1,437 rows of 256 by 256 on an EPYC of 2024. The results differ by rounding.

    Examples
    --------
    >>> net, x = nn.Linear(64, 64), torch.ones(64, 64)
    >>> with torch.no_grad(), FastProducts():
    ...     fast = net(x)
    >>> torch.allclose(fast, net(x), atol=1e-5)
    True
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function."""
        if func is nn.functional.linear and not kwargs and _ONEDNN is not None and _is_suited(*args):
            rows, weight, bias = (*args, None)[:3]
            return _ONEDNN(rows, weight, bias, "none", [], "")
        return func(*args, **(kwargs or {}))


def _is_suited(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    if rows.ndim != 2 or len(rows) < ROWS or weight.numel() < WEIGHTS or not torch.backends.mkldnn.enabled:
        return False
    kinds = ((t.dtype, t.device.type, t.layout) for t in (rows, weight, bias) if t is not None)
    plain = type(rows) is Tensor and type(weight) in (Tensor, nn.Parameter) and not torch.is_autocast_enabled("cpu")
    return plain and all(kind == (torch.float32, "cpu", torch.strided) for kind in kinds)
