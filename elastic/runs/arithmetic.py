"""How a run computes: on so many threads, its products in full precision unless its protocol asks for TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from elastic.models.products import products, tf32_in_measurements
from elastic.protocol import Settings
from elastic.runs.threads import cpu_threads


@contextmanager
def arithmetic_of(settings: Settings) -> Iterator[None]:
    """Compute for the length of the block as the settings of a run say, whatever the process is set to."""
    tf32 = settings.training.tf32
    with (
        cpu_threads(settings.training.threads),
        products(tf32=tf32 != "never"),
        tf32_in_measurements(tf32 == "everywhere"),
    ):
        yield
