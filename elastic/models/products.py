"""Full float32 precision of products: disables TF32 and similar modes during measurements, unless requested.

On NVIDIA GPUs torch rounds the factors of convolutions to TF32 (10 of 23 bits) by default, and those of matrix products
on request. Movements of features late in training are smaller than this rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

#: Whether to allow TF32 in measurements.
_ASKED: ContextVar[bool] = ContextVar("tf32_in_measurements", default=False)


@contextmanager
def tf32_in_measurements(asked: bool) -> Iterator[None]:
    """Set inside the block whether `measured_products` allows TF32.

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
    """Compute float32 products in full precision inside the block, unless TF32 is allowed in measurements.

    >>> with measured_products():
    ...     torch.backends.cudnn.conv.fp32_precision
    'ieee'
    """
    with products(tf32=_ASKED.get()):
        yield


@contextmanager
def products(*, tf32: bool) -> Iterator[None]:
    """Enable or disable TF32 products on GPUs inside the block.

    Restores the settings of torch afterwards. Also disables bfloat16 products on CPUs.

    >>> with products(tf32=True):
    ...     torch.backends.cuda.matmul.fp32_precision
    'tf32'
    """
    backends: Any = torch.backends
    gpu = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
    cpu = [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    wanted = [(kind, "tf32" if tf32 else "ieee") for kind in gpu] + [(kind, "ieee") for kind in cpu]
    # Unset values ("none") mean float32.
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
