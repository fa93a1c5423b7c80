"""Quantities as functions of depth: the law of equi-separation, and the effective depth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.analysis.lines import log_line
from elastic.analysis.persistence import along, depth_of, last_known, lasting_from
from elastic.errors import OptionError

#: Fewest layers for a fit: two points always lie on a line.
LEAST_LAYERS = 3

#: Variables of the result, in the order of the fields of `LogLine`.
FIT = ("intercept", "slope", "r", "layers")


def separation_law(values: xr.DataArray, dim: str = "layer") -> xr.Dataset:
    r"""Fit a straight line to log values against depth.

    He and Su's law of equi-separation (he2023law): $D_l \approx \rho^l D_0$ for the separation fuzziness D, so that
    $\log D_l = \log D_0 + l \log\rho$. Ordinary least squares as in `scipy.stats.linregress`; the depth is the
    coordinate ``depth`` if the values have it, else the position. The law is about features: the caller removes the
    logits, and the input unless it is layer 0 (`elastic.analysis.reading.hidden_layers`).

    Parameters
    ----------
    values
        [dim, …], positive. NaN (missing layers) is skipped.

    Returns
    -------
    xarray.Dataset
        ``intercept`` and ``slope`` of natural logs, ``ratio`` $\rho = e^{\text{slope}}$, Pearson's ``r`` (−1: an
        exact law with D falling; NaN if all values are equal), ``r_squared``, and ``layers``, the number of fitted
        layers. All are NaN with fewer than three layers, or if a value is not positive and finite.

    Raises
    ------
    OptionError
        If the values lack ``dim``.

    Examples
    --------
    Halved at each layer:

    >>> fit = separation_law(xr.DataArray([8.0, 4.0, 2.0], dims="layer"))
    >>> round(float(fit.ratio), 12), round(float(fit.r), 12), round(float(np.exp(fit.intercept)), 12)
    (0.5, -1.0, 8.0)
    """
    values = along(values, dim)
    fitted = xr.apply_ufunc(
        _line,
        depth_of(values, dim),
        values,
        input_core_dims=[[dim], [dim]],
        output_core_dims=[["statistic"]],
        vectorize=True,
    )
    fit = xr.Dataset({name: fitted.isel(statistic=i) for i, name in enumerate(FIT)})
    return fit.assign(ratio=np.exp(fit["slope"]), r_squared=fit["r"] ** 2)


def _line(depth: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.array(log_line(depth, values, least=LEAST_LAYERS), dtype=float)


def effective_depth(error: xr.DataArray, *, tolerance: float = 0.01, dim: str = "layer") -> xr.DataArray:
    r"""Compute the depth from which classes are as separable as in the last layer.

    $\min\{l : e_m \le e_L + \varepsilon \text{ for all } m \ge l\}$ with e the error of the nearest-class-mean
    decision, 1 − ncc_accuracy (galanti2022minimal uses the network's labels instead). The criterion is one-sided:
    layers better than the last one satisfy it. Before training, when every layer loses information about the input,
    the effective depth is therefore that of the first layer.

    Parameters
    ----------
    error
        [dim, …], between 0 and 1; NaN is skipped, and the last layer is the last one with a value.
    tolerance
        ε, absolute, 0 or more.

    Returns
    -------
    xarray.DataArray
        Depth (coordinate ``depth``, else position); NaN if no layer has a value.

    Raises
    ------
    OptionError
        If the tolerance is negative, or the errors lack ``dim``.

    Examples
    --------
    >>> float(effective_depth(xr.DataArray([0.5, 0.25, 0.02, 0.01], dims="layer"), tolerance=0.015))
    2.0
    """
    if not tolerance >= 0:
        raise OptionError("`tolerance`", "be 0 or more", repr(tolerance), "tolerance=0.01")
    error = along(error, dim)
    known = error.notnull()
    last = last_known(error, dim)
    # 0.8 − 0.7 exceeds 0.1 by a rounding error, which must not count.
    within = error - last <= tolerance + 1e-12
    return lasting_from(within, known, depth_of(error, dim), dim).rename("effective_depth")
