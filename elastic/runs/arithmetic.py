"""Arithmetic of a run: its number of threads, and products in full precision unless its protocol allows TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from elastic.models.products import products, tf32_in_measurements
from elastic.protocol import Settings
from elastic.runs.threads import cpu_threads


@contextmanager
def arithmetic_of(settings: Settings) -> Iterator[None]:
    """Apply the settings of a run within the block, whatever the settings of the process are."""
    tf32 = settings.training.tf32
    with (
        cpu_threads(settings.training.threads),
        products(tf32=tf32 != "never"),
        tf32_in_measurements(tf32 == "everywhere"),
    ):
        yield
