"""Probe schedules: after which epochs a training is probed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from elastic.registry import registry

#: No training may have more epochs.
Count = Annotated[int, Field(ge=2, le=1_000_001)]


def probe_schedule(name: str | None = None) -> Callable[[Callable[..., list[int]]], Callable[..., list[int]]]:
    """Register a function ``(epochs, *, options) -> list[int]`` of the epochs to probe."""
    return registry("probe_schedules").register(name)


@probe_schedule()
def log(epochs: int, *, count: Count = 12) -> list[int]:
    """Probe at about ``count`` epochs, evenly spaced in the logarithm from 1 on.

    Parameters
    ----------
    count
        Number of probed epochs, fewer where the training has fewer; 0 and the last are always among them.

    Examples
    --------
    >>> log(200, count=6)
    [0, 1, 4, 14, 53, 200]
    """
    return [0, *np.unique(np.rint(np.geomspace(1, epochs, count - 1)).astype(int)).tolist()]


@probe_schedule()
def linear(epochs: int, *, count: Count = 12) -> list[int]:
    """Probe at ``count`` evenly spaced epochs.

    Parameters
    ----------
    count
        Number of probed epochs, fewer where the training has fewer; 0 and the last are always among them.

    Examples
    --------
    >>> linear(100, count=5)
    [0, 25, 50, 75, 100]
    """
    spaced = np.rint(np.linspace(0, epochs, count)).astype(int)
    return [int(epoch) for epoch in np.unique(spaced)]


@probe_schedule()
def every(epochs: int, *, step: Annotated[int, Field(ge=1)] = 1) -> list[int]:
    """Probe after every so many epochs.

    Parameters
    ----------
    step
        Number of epochs from one probe to the next; 0 and the last epoch are always probed.

    Examples
    --------
    >>> every(10, step=4)
    [0, 4, 8]
    """
    return list(range(0, epochs + 1, step))


@probe_schedule()
def listed(epochs: int, *, values: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]) -> list[int]:
    """Probe at the listed epochs, as far as the training goes.

    Parameters
    ----------
    values
        Probed epochs; 0 and the last are always among them.

    Examples
    --------
    >>> listed(10, values=[5, 50])
    [5]
    """
    return [epoch for epoch in values if epoch <= epochs]


def probed_epochs(name: str, options: Mapping[str, Any], epochs: int) -> list[int]:
    """Return the epochs that a schedule probes, in ascending order, always including 0 and the last."""
    entry = registry("probe_schedules").get(name)
    return sorted({0, epochs, *entry.function(epochs, **entry.complete(options))})
