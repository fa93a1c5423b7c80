"""Arithmetic of a run: torch's own modes, the number of threads, full precision unless its protocol allows TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from elastic.models.modes import plain_modes
from elastic.models.products import products, tf32_in_measurements
from elastic.protocol import Settings
from elastic.runs.threads import cpu_threads


@contextmanager
def arithmetic_of(settings: Settings) -> Iterator[None]:
    """Apply the settings of a run within the block, whatever the settings of the process are."""
    tf32 = settings.training.tf32
    with (
        default_modes(),
        cpu_threads(settings.training.threads),
        products(tf32=tf32 != "never"),
        tf32_in_measurements(tf32 == "everywhere"),
    ):
        yield


@contextmanager
def default_modes() -> Iterator[None]:
    """Give the block the modes of a new process: a run has the same numbers in a notebook that changed them.

    Models draw their weights in the default type, and take gradients.

    Examples
    --------
    >>> with torch.no_grad(), torch.device("meta"), default_modes():
    ...     torch.is_grad_enabled(), torch.ones(1)
    (True, tensor([1.]))
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with plain_modes(), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
