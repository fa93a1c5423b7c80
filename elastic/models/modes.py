"""Torch's modes while a model is measured or trained by elastic: the defaults, whatever the caller has switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from elastic.models.products import measured_products

#: Types of devices whose autocast a caller may have enabled.
DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def plain_modes() -> Iterator[None]:
    """Disable inference mode, autocast, TF32 and a changed default device within the block.

    A training loop may record during validation, under ``torch.inference_mode`` or ``torch.autocast``: the first
    allows no derivatives, the second changes the rounding of records.

    Examples
    --------
    >>> x = torch.ones(2, 2)
    >>> with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"):
    ...     with plain_modes():
    ...         torch.is_inference_mode_enabled(), (x @ x).dtype, torch.ones(1).device.type
    (False, torch.float32, 'cpu')
    """
    with ExitStack() as modes:
        modes.enter_context(measured_products())
        if torch.is_inference_mode_enabled():
            modes.enter_context(torch.inference_mode(False))
        for device in filter(torch.is_autocast_enabled, DEVICES):
            modes.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield
