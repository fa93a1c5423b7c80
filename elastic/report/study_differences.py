"""Differences of two studies at the end of training, layer by layer, with intervals over their seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.comparison import difference
from elastic.analysis.reading import read, settings_axes
from elastic.cube.attributes import bounds_of
from elastic.display.headline import measured_epochs
from elastic.display.numbers import in_digits, with_interval
from elastic.errors import NotMeasured, OptionError

#: Variables to compare if both studies have them.
QUANTITIES = (
    "training/accuracy", "collapse/nc1", "collapse/within_between_ratio", "collapse/nc2_etf_error",
    "collapse/nc3_duality", "elasticity/locality",
)  # fmt: skip

#: Confidence level of the intervals.
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """One compared value of two studies.

    Attributes
    ----------
    variable, split, layer, setting
        Variable, split and layer ("" if it has none) and the setting of the common axes.
    first, second
        Means over the seeds (geometric for a ratio) at the last probed epoch of each study.
    is_ratio
        Whether they are compared as second / first: both are positive without an upper bound.
    estimate, lower, upper
        Second − first, or second / first, with Welch's 95 % interval; NaN if one has a single seed.
    effect_size
        Hedges' g of the difference (of the logs), NaN if undefined.
    seeds
        Number of seeds, of the study with fewer.
    """

    variable: str
    split: str
    layer: str
    setting: Mapping[str, Any]
    first: float
    second: float
    is_ratio: bool
    estimate: float
    lower: float
    upper: float
    effect_size: float
    seeds: int

    @property
    def excludes_none(self) -> bool:
        """Whether the interval excludes a difference of zero (a ratio of one)."""
        none = 1.0 if self.is_ratio else 0.0
        return not self.lower <= none <= self.upper if np.isfinite(self.lower + self.upper) else False

    def text(self) -> str:
        """Format the difference with its interval; a ratio starts with ×."""
        mark = "× " if self.is_ratio else ""
        return mark + with_interval(self.estimate, self.lower, self.upper)

    def means(self) -> tuple[str, str]:
        """Return both means as text."""
        return in_digits(self.first), in_digits(self.second)


def selected(cube: xr.DataTree, where: Mapping[str, Any]) -> xr.DataTree:
    """Select labels on those axes that the cube has.

    Raises
    ------
    NotMeasured
        If an axis has no such label.
    """
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=cube.attrs)}
    for name, node in cube.children.items():
        dataset = node.to_dataset()
        at = {axis: label for axis, label in where.items() if axis in dataset.dims}
        for axis, label in at.items():
            if label not in dataset[axis].values.tolist():
                known = ", ".join(map(str, dataset[axis].values.tolist()))
                raise NotMeasured(f"`where`: `{axis}`", f"be one of {known}", repr(label), f"--where {axis}=LABEL")
        groups[f"/{name}"] = dataset.sel(at, drop=True)
    return xr.DataTree.from_dict(groups)


def check_axes(cubes: Sequence[xr.DataTree], names: Sequence[str]) -> None:
    """Raise an OptionError if a study has an axis other than the seed that the other lacks."""
    axes = [list(settings_axes(cube["training"].dataset["status"])) for cube in cubes]
    for place, name in enumerate(names):
        other = axes[1 - place]
        if alone := [axis for axis in axes[place] if axis not in other]:
            found = f"{', '.join(alone)} in {name!r} only"
            hint = " ".join(f"--where {axis}=LABEL" for axis in alone)
            raise OptionError("the axes", "be those of both studies", found, hint)


def differences(first: xr.DataTree, second: xr.DataTree) -> list[Difference]:
    """Compare the variables that both cubes have, at the last probed epoch of each."""
    rows = [one for variable in QUANTITIES for one in _of_variable(first, second, variable)]
    if not rows:
        raise NotMeasured("the studies", "measure something alike", "nothing", "two studies with probes of one kind")
    return rows


def _of_variable(first: xr.DataTree, second: xr.DataTree, variable: str) -> Iterator[Difference]:
    values = []
    for cube in (first, second):
        try:
            one = read(cube, variable, split=None)
        except NotMeasured:
            return
        if not (epochs := measured_epochs(one)):
            return
        values.append(one.sel(epoch=epochs[-1], drop=True).load())
    bounds = bounds_of(values[0].attrs)
    unbounded = bounds is not None and bounds[0] == 0 and not np.isfinite(bounds[1])
    is_ratio = unbounded and all(bool((one.where(one.notnull(), 1) > 0).all()) for one in values)
    if is_ratio:
        values = [xr.DataArray(np.log(one)) for one in values]
    try:
        estimates = difference(values[1], values[0], paired=False, level=LEVEL)
    except NotMeasured:  # no label of a dim in common
        return
    yield from _rows(variable, values, estimates, is_ratio)


def _rows(variable: str, values: Sequence[xr.DataArray], estimates: xr.Dataset, is_ratio: bool) -> Iterator[Difference]:
    dims = list(estimates["difference"].dims)
    for position in np.ndindex(*(estimates.sizes[dim] for dim in dims)):
        at = {dim: estimates[dim].values[i].item() for dim, i in zip(dims, position, strict=True)}
        one = estimates.sel(at)
        means = [float(v.sel({d: label for d, label in at.items() if d in v.dims}).mean("seed")) for v in values]
        if not np.isfinite(float(one["difference"])):
            continue
        with np.errstate(over="ignore"):  # an end of a wide interval is infinite
            first, second, estimate, lower, upper = (
                float(np.exp(number)) if is_ratio else number
                for number in (*means, *(float(one[name]) for name in ("difference", "lower", "upper")))
            )
        yield Difference(
            variable=variable.rpartition("/")[2],
            split=str(at.pop("split", "")),
            layer=str(at.pop("layer", "")),
            setting={str(axis): label for axis, label in at.items()},
            first=first,
            second=second,
            is_ratio=is_ratio,
            estimate=estimate,
            lower=lower,
            upper=upper,
            effect_size=float(one["effect_size"]),
            seeds=int(one["count"]),
        )
