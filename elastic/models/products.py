"""Products of float32 with all their bits: TF32 and its like are off where numbers are measured, unless asked for.

On NVIDIA GPUs torch rounds the factors of convolutions to TF32 (10 bits of 23) by default, and those of matrix products
where a user asks for speed. Movements of features late in training are smaller than that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

#: Whether products are rounded to TF32 although they are measured.
_ASKED: ContextVar[bool] = ContextVar("tf32_in_measurements", default=False)


@contextmanager
def tf32_in_measurements(asked: bool) -> Iterator[None]:
    """Say for the length of the block whether `measured_products` are rounded to TF32.

    >>> with tf32_in_measurements(True), measured_products():
    ...     torch.backends.cuda.matmul.fp32_precision
    'tf32'
    """
    token = _ASKED.set(asked)
    try:
        yield
    finally:
        _ASKED.reset(token)


@contextmanager
def measured_products() -> Iterator[None]:
    """Compute products of float32 in float32 for the length of the block, unless TF32 is asked for in measurements.

    >>> with measured_products():
    ...     torch.backends.cudnn.conv.fp32_precision
    'ieee'
    """
    with products(tf32=_ASKED.get()):
        yield


@contextmanager
def products(*, tf32: bool) -> Iterator[None]:
    """Let a GPU round the factors of products to TF32 for the length of the block, or compute them in float32.

    The settings of torch are as they were afterwards. A processor that is set to round factors (bfloat16) does not.

    >>> with products(tf32=True):
    ...     torch.backends.cuda.matmul.fp32_precision
    'tf32'
    """
    backends: Any = torch.backends
    gpu = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    cpu = [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    wanted = [(kind, "tf32" if tf32 else "ieee") for kind in gpu] + [(kind, "ieee") for kind in cpu]
    # What is not set ("none") is computed in float32.
    changed = [
        (kind, kind.fp32_precision, precision)
        for kind, precision in wanted
        if (kind.fp32_precision in ("tf32", "bf16")) != (precision == "tf32")
    ]
    try:
        for kind, _, precision in changed:
            kind.fp32_precision = precision
        yield
    finally:
        for kind, before, _ in changed:
            kind.fp32_precision = before
