"""Formatting of numbers: few digits, an interval after the estimate."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from elastic.analysis.epochs import epoch_label

#: Absolute values that are written without an exponent: from the first to below the second.
LEAST, MOST = 1e-4, 1e5


def in_digits(value: float, digits: int = 3) -> str:
    """Format a number with significant digits, without an exponent between 0.0001 and 100,000.

    >>> in_digits(23.91, 2), in_digits(1.1), in_digits(0.000123, 2), in_digits(0.00001), in_digits(float("nan"))
    ('24', '1.10', '0.00012', '1.00e-05', '–')
    >>> in_digits(1957.2), in_digits(-99950), in_digits(99949)
    ('1960', '-1.00e+05', '99900')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else f"{value:+}"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    if not LEAST <= abs(rounded) < MOST:
        return f"{value:.{digits - 1}e}"
    return f"{rounded:.0f}" if abs(rounded) >= 10**digits else f"{value:#.{digits}g}".rstrip(".")


def with_interval(estimate: float, lower: float, upper: float, digits: int = 3) -> str:
    """Format an estimate with its interval, or alone if there is none (one seed).

    >>> with_interval(0.5, 0.25, 1.0), with_interval(2.0, float("nan"), float("nan"))
    ('0.500 [0.250, 1.00]', '2.00')
    """
    alone = in_digits(estimate, digits)
    if math.isnan(lower) or math.isnan(upper):
        return alone
    return f"{alone} [{in_digits(lower, digits)}, {in_digits(upper, digits)}]"


def epoch_of(epoch: float | None, epochs: float | None, of: str = " of ") -> str:
    """Format the last recorded epoch of a run, with the planned number of epochs if known.

    >>> epoch_of(3, 6), epoch_of(2.25, None), epoch_of(None, None)
    ('3 of 6', '2.25', '–')
    """
    if epoch is None:
        return "–"
    return epoch_label(epoch) if epochs is None else f"{epoch_label(epoch)}{of}{epoch_label(epochs)}"


def epochs_of_seeds(epochs: Iterable[float]) -> str:
    """Format the median of epochs and their range over the seeds; NaN means a seed that never reached the level.

    >>> epochs_of_seeds([397, 285, 553]), epochs_of_seeds([9.0]), epochs_of_seeds([4, 6])
    ('397 [285, 553]', '9', '5 [4, 6]')
    >>> epochs_of_seeds([0.25, 0.5, 1.0])
    '0.5 [0.25, 1]'
    >>> epochs_of_seeds([float("nan"), 285, 397]), epochs_of_seeds([float("nan"), float("nan")])
    ('397 [285, never]', 'never')
    >>> epochs_of_seeds([])
    ''
    """
    ordered = np.sort([math.inf if math.isnan(epoch) else epoch for epoch in epochs])
    if not len(ordered):
        return ""
    whole = all(epoch.is_integer() for epoch in ordered if not math.isinf(epoch))  # so the median is rounded to one
    middle, first, last = (
        "never" if math.isinf(epoch) else f"{epoch:.0f}" if whole else epoch_label(epoch)
        for epoch in (float(np.median(ordered)), ordered[0], ordered[-1])
    )
    return middle if first == last else f"{middle} [{first}, {last}]"
