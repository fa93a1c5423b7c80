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
    training, probes = settings.training, settings.probes
    with cpu_threads(training.threads), products(tf32=training.tf32), tf32_in_measurements(probes.tf32):
        yield
