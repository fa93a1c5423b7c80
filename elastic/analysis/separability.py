r"""Separability in the locally elastic dynamics of Zhang, Wang and Su (zhang2021imitating).

At each step one class l, and one of its samples, is drawn; it moves every sample of class k by $E_{kl}$ times itself,
with $E_{kk} = \alpha(t)$ and $E_{kl} = \beta(t)$ for k ≠ l. Class means of the features follow
$\mu_k' = \frac1K \sum_l E_{kl}\,\mu_l$ (the isotropic model), whose solution has two parts: the mean of the class means
grows by a factor $s_0$, and their deviations from it all by one factor $s_d$, with

$\log s_0 = \frac1K \int \alpha + (K-1)\beta, \qquad \log s_d = \frac1K \int \alpha - \beta.$

Both are measured in two ways: from single steps (`intra_class_effect`, `inter_class_effect` and their `separation_rate`
in the group elasticity, per unit of the loss gradient) and from the training curves of the class means. The two have
different units: along a training curve E multiplies the sample itself, not its loss gradient. Time is the coordinate of
``dim``: the epoch, unless the caller assigns another one (``values.assign_coords(epoch=lr.cumsum("epoch"))`` for
learning rates that change).

Two cautions. Single steps measure class means of a kernel, and a scalar kernel is positive semi-definite: γ is then
almost always positive, and only its size and tail are informative. Cross-entropy hardly moves the mean of the class
means of logits, because its gradients sum to 0 over the logits: along a training curve $\alpha + (K-1)\beta$ is near 0
with either sign, and only $\alpha - \beta$ measures how fast classes separate.
"""

from __future__ import annotations

import numpy as np
import scipy
import xarray as xr

from elastic.analysis.persistence import along
from elastic.errors import OptionError

#: Fewest probes for the slope of a tail.
LEAST_PROBES = 3


def separation_rate(intra: xr.DataArray, inter: xr.DataArray, classes: int | xr.DataArray) -> xr.DataArray:
    r"""Compute the rate γ of the slower of the two directions in which classes separate.

    $\gamma = \min\{\alpha - \beta,\ \alpha + (K-1)\beta\}$: the least eigenvalue of the K×K matrix of α on the diagonal
    and β elsewhere. The cube has it as the variable ``separation_rate``; this function is for other strengths, such as
    those of `strengths_of_course`.

    Parameters
    ----------
    intra, inter
        α and β.
    classes
        Number of classes K.

    Raises
    ------
    OptionError
        If there are fewer than two classes.

    Examples
    --------
    >>> float(separation_rate(xr.DataArray(2.0), xr.DataArray(0.5), 10))
    1.5
    >>> float(separation_rate(xr.DataArray(2.0), xr.DataArray(-0.25), 10))           # 2.25 and 2 − 9/4
    -0.25
    """
    if bool((xr.DataArray(classes) < 2).any()):
        raise OptionError("`classes`", "be at least 2", str(classes), "the number of classes")
    rate: xr.DataArray = xr.apply_ufunc(np.minimum, intra - inter, intra + (classes - 1) * inter)
    return rate.rename("separation_rate")


def separability(rate: xr.DataArray, *, since: float | None = None, dim: str = "epoch") -> xr.Dataset:
    r"""Fit the decay of the separation rate at the end of training.

    The theorem's condition for classes to become separable as t → ∞: γ(t) stays positive, and falls more slowly than
    1/t. The exponent p of the tail, $\gamma \sim t^p$, is fitted by least squares of log γ against log t. A finite
    curve cannot show the limit; p only shows the trend.

    Parameters
    ----------
    rate
        [dim, …], from `separation_rate`; NaN (probes not computed) and time 0 are skipped.
    since
        Start of the tail; by default a tenth of the last time.

    Returns
    -------
    xarray.Dataset
        ``exponent`` p, NaN if γ is not positive throughout the tail or the tail has fewer than three probes;
        ``least``, the smallest γ of the tail; ``probes``, their number; ``separable``, whether the condition holds
        along the tail: 1 if γ stays positive and p > −1, 0 if γ does not or p < −1, else NaN.

    Raises
    ------
    OptionError
        If the rates lack ``dim``.

    Examples
    --------
    >>> t = np.array([1.0, 10.0, 40.0, 100.0])
    >>> slow = separability(xr.DataArray(3 * t**-0.5, dims="epoch", coords={"epoch": t}))
    >>> round(float(slow.exponent), 6), float(slow.separable), int(slow.probes)
    (-0.5, 1.0, 3)
    """
    rate = along(rate, dim)
    time = rate[dim].astype(float)
    start = float(time.max()) / 10 if since is None else since
    tail = rate.where((time >= start) & (time > 0))
    least, probes = tail.min(dim), tail.notnull().sum(dim)
    exponent = xr.apply_ufunc(
        _slope, np.log(time.where(time > 0)), tail, input_core_dims=[[dim], [dim]], vectorize=True
    )
    separable = (exponent > -1).astype(float).where(exponent.notnull() & (exponent != -1))
    return xr.Dataset(
        {
            "exponent": exponent,
            "least": least,
            "probes": probes,
            "separable": separable.where(~(least <= 0), 0.0),
        }
    )


def _slope(log_time: np.ndarray, values: np.ndarray) -> float:
    there = ~np.isnan(values) & ~np.isnan(log_time)
    log_time, values = log_time[there], values[there]
    if len(values) < LEAST_PROBES or not np.all(values > 0):
        return np.nan
    return float(scipy.stats.linregress(log_time, np.log(values)).slope)


def strengths_of_course(
    spectrum: xr.DataArray, centred: xr.DataArray, *, dim: str = "epoch", component: str = "component"
) -> xr.Dataset:
    r"""Estimate α(t) and β(t) from the training curves of the class means.

    With $s_0$ and $s_d$ the growth of the mean of the class means and of their deviations from it, since the first
    probe, $B = \log s_0 - \log s_d$ and $A = \log s_0 + (K-1)\log s_d$ are the integrals of β and α, which are their
    derivatives: the authors' estimator. Both growths follow from the cube's spectra of the class means, since
    $\sum_r \sigma_r^2 = \sum_k \lVert\mu_k\rVert^2$: $s_d^2 \propto \sum_r \sigma_{r,\text{centred}}^2$ and
    $s_0^2 \propto \sum_r \sigma_r^2 - \sum_r \sigma_{r,\text{centred}}^2$. Spectra contain only lengths: a mean that
    rotates without growing gives β = 0, whereas in the model it keeps its direction.

    Parameters
    ----------
    spectrum, centred
        [dim, component, …]: class_mean_spectrum and class_mean_spectrum_centred of layer logits, with one component
        per class. NaN (probes not computed) is skipped.

    Returns
    -------
    xarray.Dataset
        ``intra_integral`` A, ``inter_integral`` B (0 at the first probe), ``intra`` α and ``inter`` β per unit of
        time, by second-order differences between the probes; NaN if the class means, or their mean, are 0.

    Raises
    ------
    OptionError
        If the spectra lack ``dim`` or ``component``.

    Examples
    --------
    Two classes; the mean doubles, the deviation grows fourfold:

    >>> t = {"epoch": [0.0, 1.0]}
    >>> centred = xr.DataArray([[1.0, 0.0], [4.0, 0.0]], dims=("epoch", "component"), coords=t)
    >>> spectrum = xr.DataArray([[1.0, 3.0], [4.0, 6.0]], dims=("epoch", "component"), coords=t)
    >>> found = strengths_of_course(spectrum, centred)
    >>> (found.intra[1] / np.log(2)).round(9).item(), (found.inter[1] / np.log(2)).round(9).item()     # 1 + 2, 1 − 2
    (3.0, -1.0)
    """
    spectrum, centred = along(along(spectrum, dim), component), along(along(centred, dim), component)
    classes = spectrum.sizes[component]
    total, deviation = ((values**2).sum(component, skipna=False) for values in (spectrum, centred))
    common = _grown(total - deviation, total, dim)
    apart = _grown(deviation, total, dim)
    strengths = xr.Dataset({"intra_integral": common + (classes - 1) * apart, "inter_integral": common - apart})
    return strengths.assign(
        intra=_rate(strengths["intra_integral"], dim), inter=_rate(strengths["inter_integral"], dim)
    )


def _grown(squares: xr.DataArray, total: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the log growth of a length since the first probe, from its squares; NaN for rounding errors."""
    present = squares.where(squares > 1e-12 * total)
    logs: xr.DataArray = xr.apply_ufunc(np.log, present) / 2
    return logs - logs.isel({dim: 0}, drop=True)


def _rate(integral: xr.DataArray, dim: str) -> xr.DataArray:
    rate: xr.DataArray = xr.apply_ufunc(
        _differences,
        integral[dim].astype(float),
        integral,
        input_core_dims=[[dim], [dim]],
        output_core_dims=[[dim]],
        vectorize=True,
    )
    return rate.transpose(*integral.dims)


def _differences(time: np.ndarray, values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    derivatives = np.full(len(values), np.nan)
    if there.sum() > 1:
        derivatives[there] = np.gradient(values[there], time[there])
    return derivatives
