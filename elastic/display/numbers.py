"""Formatting of numbers: few digits, an interval after the estimate.

Terminal, JSON, CSV and LaTeX source have the hyphen of programs before negative numbers, so that they can be pasted and
parsed. Figures, HTML and Markdown pages have a minus sign: `typeset`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from elastic.analysis.epochs import epoch_label

#: Absolute values that are written without an exponent: from the first to below the second.
LEAST, MOST = 1e-4, 1e5

#: The sign of a negative number in print.
MINUS = "−"

#: Fewest and most significant digits of numbers that are distinguished.
FEW, MANY = 3, 8


def in_digits(value: float, digits: int = 3) -> str:
    """Format a number with significant digits, without an exponent between 0.0001 and 100,000.

    >>> in_digits(23.91, 2), in_digits(1.1), in_digits(0.000123, 2), in_digits(0.00001), in_digits(float("nan"))
    ('24', '1.10', '0.00012', '1.00e-05', '–')
    >>> in_digits(1957.2), in_digits(-99950), in_digits(99949)
    ('1960', '-1.00e+05', '99900')
    >>> in_digits(float("inf")), in_digits(float("-inf"))
    ('∞', '-∞')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "-∞"
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


def digits_apart(*values: float) -> int:
    """Return the least number of digits with which different numbers are different texts, at least 3 and at most 8.

    >>> digits_apart(1.0, 0.999999, 1.000001), digits_apart(0.5, 2.0), digits_apart(1.0, 1.0)
    (7, 3, 3)
    """
    different = len(set(values))
    enough = (n for n in range(FEW, MANY) if len({in_digits(value, n) for value in values}) == different)
    return next(enough, MANY)


def effect_words(effect: float | None, lower: float | None, upper: float | None, seeds: int) -> str:
    """Format the effect of a finding with its interval over the seeds, with enough digits to distinguish the three.

    Parameters
    ----------
    effect
        None if there is none.
    lower, upper
        Ends of the interval; None for an infinite one, which JSON cannot hold.
    seeds
        Number of seeds; one has no interval.

    Examples
    --------
    >>> effect_words(2.0, None, 3.0, 3), effect_words(2.0, 1.0, None, 3), effect_words(2.0, None, None, 1)
    ('2.00 [-∞, 3.00]', '2.00 [1.00, ∞]', '2.00')
    >>> effect_words(None, None, None, 0)
    '–'
    """
    if effect is None:
        return "–"
    if seeds < 2:
        return in_digits(effect)
    low, high = ends(lower, upper)
    return with_interval(effect, low, high, digits_apart(effect, low, high))


def ends(lower: float | None, upper: float | None) -> tuple[float, float]:
    """Return the ends of an interval as numbers; None is infinite.

    >>> ends(None, 2), ends(0.5, None)
    ((-inf, 2), (0.5, inf))
    """
    return -math.inf if lower is None else lower, math.inf if upper is None else upper


def typeset(number: str) -> str:
    """Return a formatted number, or an estimate with its interval, with minus signs: for figures, reports and pages.

    >>> typeset(with_interval(-0.5, -1.0, 0.00001))
    '−0.500 [−1.00, 1.00e−05]'
    """
    return number.replace("-", MINUS)


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
