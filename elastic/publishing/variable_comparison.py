"""Comparison of a run with its repetition: by variable, bit by bit or within the spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from elastic.analysis.intervals import quantile
from elastic.cube.names import STATUS

IDENTICAL, WITHIN, DIFFERS, UNDECIDED = "identical", "within tolerance", "differs", "undecided"

#: Level of the prediction interval that bounds a difference, and the largest share of values outside it.
LEVEL, SHARE = 0.99, 0.05

#: Allowed rounding if the seeds do not differ, relative to the largest value of the variable.
ROUNDING = 1e-5

#: Allowed rounding before training, relative to the largest value of the variable there: both runs have the
#: same weights and data, and have not diverged in any step. Measured between AVX2 and AVX-512: below 1e-8.
ROUNDING_BEFORE_TRAINING = 1e-3

#: Variables that measure rounding.
OF_ROUNDING = ("probe_error",)


@dataclass(frozen=True)
class Compared:
    """One variable of one run.

    Attributes
    ----------
    group, variable
        Name of the variable.
    outcome
        "identical", "within tolerance", "differs", or "undecided" if no spread over seeds is known.
    values
        Number of values.
    different
        Number of values with different bits.
    beyond
        Number of values outside the tolerance; None if bits are compared.
    epoch
        The first epoch with a value that counts as different; None if there is none, or there are no epochs.
    largest
        The largest difference; None if no two numbers were compared.
    reason
        Why it differs or is undecided, if its numbers do not show it.
    """

    group: str
    variable: str
    outcome: str
    values: int
    different: int
    beyond: int | None = None
    epoch: float | None = None
    largest: float | None = None
    reason: str = ""


def compare_run(
    published: xr.DataTree,
    again: xr.DataTree,
    coordinates: Mapping[str, Any],
    *,
    bits: bool,
    same_weights: bool = False,
) -> Iterator[Compared]:
    """Yield the comparison of each variable of a published run with its repetition.

    Parameters
    ----------
    published, again
        Cubes.
    coordinates
        Of the run.
    bits
        Whether the numbers should be identical: both were computed in the same environment.
    same_weights
        Whether both have the same initial weights, so that at epoch 0 they may differ only by rounding. Another release
        of torch may draw others.
    """
    for group, node in published.children.items():
        dataset = node.to_dataset()
        other = again[group].to_dataset() if group in again.children else xr.Dataset()
        for name, values in dataset.data_vars.items():
            if not set(coordinates) <= set(values.dims):
                continue
            if name not in other.data_vars or not set(coordinates) <= set(other[name].dims):
                one = values.sel(dict(coordinates))
                missing = int(np.sum(~_is_nan(one.values)))
                if missing:
                    reason = "not recorded by the rerun"
                    yield Compared(group, str(name), DIFFERS, one.size, missing, reason=reason)
                continue
            exact = bits or name == STATUS
            compared = _compared(group, str(name), values, other[name], coordinates, exact)
            if same_weights and compared.outcome in (WITHIN, UNDECIDED) and name not in OF_ROUNDING:
                compared = _at_start(compared, values.sel(dict(coordinates)), other[name].sel(dict(coordinates)))
            yield compared


def _compared(
    group: str, name: str, values: xr.DataArray, other: xr.DataArray, at: Mapping[str, Any], exact: bool
) -> Compared:
    first, second, wrong = _aligned(values.sel(dict(at)), other.sel(dict(at)))
    if wrong:
        return Compared(group, name, DIFFERS, first.size, first.size, reason=wrong)
    different = ~same_bits(first.values, second.values)
    count = int(different.sum())
    largest = _largest(first.values, second.values)
    if exact or not count:
        outcome = DIFFERS if count else IDENTICAL
        return Compared(group, name, outcome, first.size, count, None, _first_epoch(first, different), largest)
    tolerance = tolerance_of(values, at)
    if tolerance is None:
        reason = "one seed: the spread over seeds is unknown"
        epoch = _first_epoch(first, different)
        return Compared(group, name, UNDECIDED, first.size, count, None, epoch, largest, reason)
    with np.errstate(invalid="ignore"):
        far = np.abs(second.values - first.values) > tolerance.transpose(*first.dims).values
    far = (far | (_is_nan(first.values) != _is_nan(second.values))) & different
    beyond = int(far.sum())
    outcome = DIFFERS if beyond > SHARE * max(1, int((~_is_nan(first.values)).sum())) else WITHIN
    epoch = _first_epoch(first, far) if outcome == DIFFERS else None
    return Compared(group, name, outcome, first.size, count, beyond, epoch, largest)


def _at_start(compared: Compared, values: xr.DataArray, other: xr.DataArray) -> Compared:
    """Return the outcome of a variable, which differs if it exceeds the allowed rounding before training."""
    if "epoch" not in values.dims or 0 not in values["epoch"].values:
        return compared
    first, second, _ = _aligned(values.sel(epoch=[0]), other.sel(epoch=[0]))
    known = ~_is_nan(first.values)
    if first.dtype.kind != "f" or not known.any():
        return compared
    bound = ROUNDING_BEFORE_TRAINING * float(np.abs(first.values[known]).max())
    far = known & ~(np.abs(second.values - first.values) <= bound)  # a missing number is far, too
    count = int(far.sum())
    if count <= SHARE * int(known.sum()):
        return compared
    reason = "before training, where nothing but rounding may differ"
    return replace(compared, outcome=DIFFERS, beyond=count, epoch=0.0, reason=reason)


def _aligned(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, str]:
    """Return both on the labels of the first one; a single run lacks those that only other runs have."""
    if set(first.dims) != set(second.dims):
        return first, second, f"other dims: {', '.join(map(str, second.dims))}"
    for dim in first.dims:
        if dim not in first.coords or dim not in second.coords:
            continue
        if extra := set(second[dim].values.tolist()) - set(first[dim].values.tolist()):
            return first, second, f"other labels of {dim}: {sorted(map(str, extra))[0]}"
        second = second.reindex({dim: first[dim].values})
    second = second.transpose(*first.dims)
    if first.shape != second.shape:
        return first, second, "another shape"
    return first, second, ""


def same_bits(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two arrays hold the same number, bit by bit; all NaNs are equal.

    >>> same_bits(np.array([0.0, np.nan, 1.0]), np.array([-0.0, np.nan, 1.0])).tolist()
    [False, True, True]
    """
    if first.dtype.kind != "f" and second.dtype.kind != "f":
        return np.asarray(first == second)
    with np.errstate(over="ignore"):
        # A number of single precision has the same value in double precision: values are compared.
        one, other = first.astype(np.float64), second.astype(np.float64)
    same = (one == other) & (np.signbit(one) == np.signbit(other))
    return np.asarray(same | (np.isnan(one) & np.isnan(other)))


def tolerance_of(values: xr.DataArray, at: Mapping[str, Any]) -> xr.DataArray | None:
    """Return the largest allowed difference of a run's value, from the spread over the seeds of the published cube.

    Numbers computed elsewhere start from the same weights and data, and drift by rounding. The bound is that
    of a run that has drifted completely, so that it is like one of another seed: the prediction interval
    (99 %) of the difference of two seeds, t · √2 · s, with the standard deviation s over the S seeds and the quantile t
    of Student's distribution with S − 1 degrees of freedom.

    Parameters
    ----------
    values
        A variable of the published cube.
    at
        Coordinates of the run.

    Returns
    -------
    xarray.DataArray or None
        With the dims of the run's values; None if there is one seed.

    Examples
    --------
    >>> values = xr.DataArray([1.0, 2.0, 3.0], {"seed": [0, 1, 2]}, ("seed",))  # s = 1, t(0.995, 2) = 9.925
    >>> round(float(tolerance_of(values, {"seed": 0})), 2)
    14.04
    """
    if "seed" not in at:
        return None
    seeds = values.sel({dim: label for dim, label in at.items() if dim != "seed"}).astype(np.float64)
    count = seeds.notnull().sum("seed")
    if int(count.max()) < 2:
        return None
    spread = seeds.std("seed", ddof=1, skipna=True)
    factor = quantile(count - 1, LEVEL) * math.sqrt(2)
    magnitude = float(np.nanmax(np.abs(seeds.values))) if bool(seeds.notnull().any()) else 0.0
    return (factor * spread).fillna(math.inf) + ROUNDING * magnitude


def _is_nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _largest(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    with np.errstate(invalid="ignore"):
        gaps = np.abs(second.astype(np.float64) - first.astype(np.float64))
    gaps = gaps[np.isfinite(gaps)]
    return float(gaps.max()) if gaps.size else None


def _first_epoch(values: xr.DataArray, wrong: NDArray[np.bool_]) -> float | None:
    """Return the first epoch with a wrong value; None if there is none, or the variable has no epochs."""
    if "epoch" not in values.dims or not wrong.any():
        return None
    axes = tuple(axis for axis, dim in enumerate(values.dims) if dim != "epoch")
    return float(values["epoch"].values[int(np.argmax(wrong.any(axis=axes)))])
