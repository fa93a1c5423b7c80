"""Least-squares lines through the logarithms of one-dimensional series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from elastic.analysis.intervals import spreads


class LogLine(NamedTuple):
    """The least-squares line log(value) = intercept + slope · position.

    Attributes
    ----------
    intercept, slope
        Of natural logarithms; NaN without a fit.
    r
        Pearson's correlation; NaN if all values are equal.
    points
        Number of points.
    """

    intercept: float
    slope: float
    r: float
    points: int


def log_line(positions: np.ndarray, values: np.ndarray, *, least: int) -> LogLine:
    """Fit a line to the logarithms of values, by `scipy.stats.linregress`.

    Parameters
    ----------
    positions, values
        [n]; points with a NaN are skipped.
    least
        Fewest points for a fit.

    Returns
    -------
    LogLine
        NaN if there are fewer points, all are at one position, or a value is not positive and finite.

    Examples
    --------
    >>> line = log_line(np.array([0.0, 1.0, 2.0]), np.array([8.0, 4.0, 2.0]), least=3)
    >>> round(float(np.exp(line.slope)), 12), round(line.r, 12), line.points
    (0.5, -1.0, 3)
    """
    there = ~np.isnan(values) & ~np.isnan(positions)
    positions, values = positions[there], values[there]
    points = len(values)
    if points < least or not np.all((values > 0) & np.isfinite(values)) or np.ptp(positions) == 0:
        return LogLine(np.nan, np.nan, np.nan, points)
    if not spreads(values):  # a fit to equal values would fit rounding errors
        return LogLine(float(np.log(values[0])), 0.0, np.nan, points)
    line = scipy.stats.linregress(positions, np.log(values))
    # Adding 0 turns the slope −0.0 into 0.0.
    return LogLine(float(line.intercept), float(line.slope) + 0.0, float(line.rvalue), points)
