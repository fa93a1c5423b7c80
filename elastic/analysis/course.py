"""Training curves: their plateau, and their rate of decrease."""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.analysis.lines import log_line
from elastic.analysis.persistence import along, last_known, lasting_from
from elastic.errors import OptionError


def plateau(values: xr.DataArray, *, factor: float = 1.1, dim: str = "epoch") -> xr.Dataset:
    """Find the final value of a curve, and the epoch since which it stays within a factor of it.

    Parameters
    ----------
    values
        [dim, …], nonnegative; NaN (epochs not computed) is skipped.
    factor
        Above 1: values from level/factor to level·factor belong to the plateau.

    Returns
    -------
    xarray.Dataset
        ``level``, and ``since``, a probed epoch; NaN if only the last probe is at the level.

    Raises
    ------
    OptionError
        If the factor is not above 1, or the values lack ``dim``.

    Examples
    --------
    >>> course = xr.DataArray([8.0, 2.0, 2.1, 2.0], dims="epoch", coords={"epoch": [0, 10, 30, 100]})
    >>> found = plateau(course)                                    # from 2/1.1 to 2·1.1
    >>> float(found.level), float(found.since)
    (2.0, 10.0)
    """
    if not factor > 1:
        raise OptionError("`factor`", "be above 1", repr(factor), "factor=1.1")
    values = along(values, dim)
    known = values.notnull()
    level = last_known(values, dim)
    within = (values <= level * factor) & (values >= level / factor)
    since = lasting_from(within, known, values[dim], dim)
    last = values[dim].where(known).max(dim)
    return xr.Dataset({"level": level, "since": since.where(since < last)})


def rate(values: xr.DataArray, dim: str = "epoch") -> xr.DataArray:
    r"""Compute by how many powers of ten a quantity falls per tenfold increase of the epoch.

    The exponent a of $v \propto \text{epoch}^{-a}$: minus the slope of log v against log epoch, by
    `scipy.stats.linregress`. Epoch 0 has no logarithm and is left out. For the rate of one phase, select its epochs
    first.

    Parameters
    ----------
    values
        [dim, …], positive; NaN (epochs not computed) is skipped.

    Returns
    -------
    xarray.DataArray
        Decades per decade; NaN with fewer than two epochs, or if a value is not positive and finite.

    Raises
    ------
    OptionError
        If the values lack ``dim``.

    Examples
    --------
    >>> fall = xr.DataArray([5.0, 1.0, 0.1, 0.01], dims="epoch", coords={"epoch": [0, 1, 10, 100]})
    >>> round(float(rate(fall)), 12)
    1.0
    """
    values = along(values, dim)
    fall: xr.DataArray = xr.apply_ufunc(
        _rate, values[dim], values, input_core_dims=[[dim], [dim]], vectorize=True, output_dtypes=[float]
    )
    return fall.rename("rate")


def _rate(epoch: np.ndarray, values: np.ndarray) -> float:
    later = epoch > 0
    return 0.0 - log_line(np.log(epoch[later]), values[later], least=2).slope
