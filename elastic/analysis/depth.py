"""How a quantity runs through the layers: the law of equi-separation, and the effective depth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from elastic.analysis.lines import log_line
from elastic.analysis.persistence import along, depth_of, last_known, lasting_from
from elastic.errors import OptionError

#: Fewest layers: two points always lie on a line.
LEAST_LAYERS = 3

#: Variables of the dataset, in the order of the fields of a `LogLine`.
FIT = ("intercept", "slope", "r", "layers")


def separation_law(values: xr.DataArray, dim: str = "layer") -> xr.Dataset:
    r"""Fit a straight line to log values against depth.

    He and Su's law of equi-separation (he2023law): $D_l \approx \rho^l D_0$ for the separation fuzziness D, so that
    $\log D_l = \log D_0 + l \log\rho$. Ordinary least squares as in `scipy.stats.linregress`; the depth is the
    coordinate ``depth`` where the values have it, else the position. The law is about features: the caller leaves
    out the logits, and the input if it is not to count as layer 0 (`elastic.analysis.reading.hidden_layers`).

    Parameters
    ----------
    values
        [dim, …], positive. NaN, a layer that is not there, is left out.

    Returns
    -------
    xarray.Dataset
        ``intercept`` and ``slope`` of natural logs, ``ratio`` $\rho = e^{\text{slope}}$, Pearson's ``r`` (−1: an
        exact law with D falling; NaN where all values are the same), ``r_squared``, and ``layers``, the number
        fitted. All are NaN with fewer than three layers or where a value is not positive and finite.

    Raises
    ------
    OptionError
        If the values do not lie along ``dim``.

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
    r"""Return the depth from which classes are told apart as well as in the last layer.

    $\min\{l : e_m \le e_L + \varepsilon \text{ for all } m \ge l\}$ with e the error of the nearest-class-mean
    decision, 1 − ncc_accuracy (galanti2022minimal measures the same against the network's labels). One-sided: a
    layer that is better than the last one is good enough, so before training, when every layer blurs what the input
    shows, the effective depth is that of the first layer.

    Parameters
    ----------
    error
        [dim, …], between 0 and 1; NaN is left out, the last layer is the last with a value.
    tolerance
        ε, absolute, 0 or more.

    Returns
    -------
    xarray.DataArray
        Depth (coordinate ``depth``, else position); NaN where no layer has a value.

    Raises
    ------
    OptionError
        If the tolerance is negative, or the errors do not lie along ``dim``.

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
    # 0.8 − 0.7 is a rounding error above 0.1: that much is no error.
    within = error - last <= tolerance + 1e-12
    return lasting_from(within, known, depth_of(error, dim), dim).rename("effective_depth")
