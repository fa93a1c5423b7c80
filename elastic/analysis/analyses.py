"""The methods of the accessor ``.elastic``: analyses of a cube by the names of its variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import xarray as xr

from elastic.analysis import closure as closed_account
from elastic.analysis import comparison, course, depth, depth_order, intervals, locality, logarithm, onset
from elastic.analysis.plots import Plots
from elastic.analysis.reading import at_layers, hidden_layers, read, select
from elastic.errors import OptionError

Where = Mapping[str, Any] | None


class Analyses:
    """Analyses of a cube, or of one dataset, by the names of its variables.

    Every method takes ``split`` ("train" by default) and ``where``, labels to select on axes and other dims, such as
    ``{"weight_decay": 5e-4, "epoch": -1}`` (see `elastic.analysis.reading.read`). All other dims are kept, including
    the seeds, so that an interval over seeds can follow: ``interval(cube.elastic.rate("nc1"))``. The functions that the
    methods call document the formulas.

    Parameters
    ----------
    holder
        A cube, one of its groups, or a dataset, such as one returned by `elastic.measure_collapse`.

    Raises
    ------
    NotMeasured
        (Every method.) If a variable or a label is missing.
    OptionError
        (Every method.) If an option is invalid.

    Examples
    --------
    >>> nc1 = xr.DataArray([[9.0, 3.0]], dims=("seed", "layer"), coords={"layer": ["hidden_1", "penultimate"]})
    >>> Analyses(xr.Dataset({"nc1": nc1})).interval("nc1", where={"layer": "penultimate"}).estimate.item()
    3.0
    """

    def __init__(self, holder: xr.Dataset | xr.DataTree) -> None:
        if isinstance(holder, xr.DataTree) and holder.children:
            self._cube = holder
        else:
            dataset = holder.to_dataset() if isinstance(holder, xr.DataTree) else holder
            self._cube = xr.DataTree.from_dict({"/dataset": dataset})

    def __repr__(self) -> str:
        return f"<elastic: {', '.join(name for name in dir(self) if not name.startswith('_'))}>"

    @property
    def plot(self) -> Plots:
        """The figures of the cube as methods: ``cube.elastic.plot.depth_profile()``."""
        return Plots(lambda: self._cube)

    def read(self, variable: str, *, split: str | None = "train", where: Where = None) -> xr.DataArray:
        """Select a variable; see `elastic.analysis.reading.read`."""
        return read(self._cube, variable, split=split, where=where)

    def interval(
        self,
        variable: str,
        *,
        level: float = 0.95,
        method: intervals.Method = "t",
        split: str | None = "train",
        where: Where = None,
    ) -> xr.Dataset:
        """Compute mean and interval over the seeds; see `elastic.analysis.intervals.interval`."""
        return intervals.interval(self.read(variable, split=split, where=where), level=level, method=method)

    def separation_law(
        self,
        variable: str = "fuzziness",
        *,
        layers: Sequence[str] | None = None,
        include_input: bool = False,
        split: str | None = "train",
        where: Where = None,
    ) -> xr.Dataset:
        """Fit log values against depth; see `elastic.analysis.depth.separation_law`.

        ``layers`` are the layers to fit, by default all except the input and the logits; with ``include_input`` (and
        without ``layers``) the input is layer 0, as in he2023law.
        """
        values = self.read(variable, split=split, where=where)
        if layers is None:
            return depth.separation_law(hidden_layers(values, include_input))
        if include_input:
            raise OptionError("`include_input`", "be left out if `layers` is given", "True", 'layers=["input", …]')
        return depth.separation_law(at_layers(values, layers))

    def depth_slope(
        self,
        variable: str = "nc1",
        *,
        layers: Sequence[str] | None = None,
        split: str | None = "train",
        where: Where = None,
    ) -> xr.DataArray:
        """Compute the slope of log values with depth at every epoch; see `elastic.analysis.depth_order.depth_slope`.

        ``layers`` are the layers to compare, by default all except the input and the logits. For nc1 it is also
        available as the variable ``nc1_depth_slope``, for claims and figures.
        """
        return depth_order.depth_slope(at_layers(self.read(variable, split=split, where=where), layers))

    def order_crossover(
        self, variable: str = "nc1", *, layers: Sequence[str] | None = None, **options: Any
    ) -> xr.Dataset:
        """Find the epoch from which values fall with depth; see `elastic.analysis.depth_order.order_crossover`.

        ``crossover`` is an epoch for each seed; average it with `elastic.analysis.intervals.log_interval` of
        ``crossover + 1``. The options are those of `depth_slope`.
        """
        return depth_order.order_crossover(self.depth_slope(variable, layers=layers, **options))

    def effective_depth(
        self,
        *,
        tolerance: float = 0.01,
        layers: Sequence[str] | None = None,
        split: str | None = "train",
        where: Where = None,
    ) -> xr.DataArray:
        """Compute the depth from which classes are separable; see `elastic.analysis.depth.effective_depth`.

        ``layers`` are the layers to compare, by default all measured ones, from input to logits.
        """
        accuracy = self.read("ncc_accuracy", split=split, where=where)
        accuracy = accuracy if layers is None else at_layers(accuracy, layers)
        return depth.effective_depth(1 - accuracy, tolerance=tolerance)

    def onset(
        self,
        variable: str = "nc1",
        *,
        fraction: float | None = None,
        threshold: float | None = None,
        interpolate: bool = False,
        split: str | None = "train",
        where: Where = None,
    ) -> xr.DataArray:
        """Find the epoch from which each layer has collapsed; see `elastic.analysis.onset.onset_epoch`."""
        values = self.read(variable, split=split, where=where)
        return onset.onset_epoch(values, fraction=fraction, threshold=threshold, interpolate=interpolate)

    def onset_order(
        self, variable: str = "nc1", *, layers: Sequence[str] | None = None, **options: Any
    ) -> xr.DataArray:
        """Measure whether deeper layers collapse first; see `elastic.analysis.onset.onset_order`.

        ``layers`` are the layers to compare, by default all except the input and the logits; the options are those of
        `onset`.
        """
        return onset.onset_order(at_layers(self.onset(variable, **options), layers))

    def kernel_change(self, *, where: Where = None) -> xr.DataArray:
        """Compute the change of the class-averaged tangent kernel since the first probe.

        See `elastic.analysis.kernel.kernel_change`. ``kernel_change`` is also available as a variable:
        ``interval("kernel_change")``, in figures and in claims.
        """
        return self.read("kernel_change", where=where)

    def plateau(
        self, variable: str = "nc1", *, factor: float = 1.1, split: str | None = "train", where: Where = None
    ) -> xr.Dataset:
        """Find the final level and the epoch since which it holds; see `elastic.analysis.course.plateau`."""
        return course.plateau(self.read(variable, split=split, where=where), factor=factor)

    def rate(self, variable: str = "nc1", *, split: str | None = "train", where: Where = None) -> xr.DataArray:
        """Compute the decades fallen per decade of epochs; see `elastic.analysis.course.rate`."""
        return course.rate(self.read(variable, split=split, where=where))

    def tracking(
        self,
        collapse: str = "nc1",
        *,
        over: Literal["layer", "epoch"] = "layer",
        elasticity: str = "locality",
        split: str | None = "train",
        where: Where = None,
    ) -> xr.DataArray:
        """Compute the rank correlation of locality and collapse; see `elastic.analysis.locality.tracking`."""
        first = self.read(elasticity, split=split, where=where)
        return locality.tracking(first, self.read(collapse, split=split, where=where), over=over)

    def lead(
        self,
        collapse: str = "nc1",
        *,
        reach: int | None = None,
        elasticity: str = "locality",
        split: str | None = "train",
        where: Where = None,
    ) -> xr.DataArray:
        """Compute the number of probes by which locality leads collapse; see `elastic.analysis.locality.lead`."""
        first = self.read(elasticity, split=split, where=where)
        return locality.lead(first, self.read(collapse, split=split, where=where), reach=reach)

    def closure(self, *, where: Where = None, **rule: Any) -> xr.Dataset:
        """Return the account of class means and variances by single steps; see `elastic.analysis.closure.closure`.

        ``rule``: lr, momentum, nesterov and steps_per_epoch of the training, where the cube does not know them.
        """
        return closed_account.closure(self._cube, where=where, **rule)

    def difference(
        self,
        variable: str,
        other: xr.Dataset | xr.DataTree | None = None,
        *,
        log: bool = False,
        paired: bool = True,
        level: float = 0.95,
        split: str | None = "train",
        where: Where = None,
        **axis: tuple[Any, Any],
    ) -> xr.Dataset:
        """Compute the difference, first minus second, over seeds; see `elastic.analysis.comparison.difference`.

        Compares two values of an axis, ``difference("nc1", weight_decay=(5e-4, 0.0))``, or this cube and another one,
        ``difference("nc1", other_cube)``. With ``log`` the difference of natural logs, a log ratio.
        """
        first = self.read(variable, split=split, where=where)
        if (other is None) == (not axis) or len(axis) > 1:
            found = "both" if other is not None else f"{len(axis)} axes" if axis else "neither"
            raise OptionError("`difference`", "take one axis or another cube", found, "axis=(first, second)")
        if other is not None:
            second = Analyses(other).read(variable, split=split, where=where)
        else:
            first, second = _at_both(first, *axis.popitem())
        if log:
            first, second = (logarithm.log(values) for values in (first, second))
        return comparison.difference(first, second, paired=paired, level=level)


def _at_both(values: xr.DataArray, axis: str, labels: tuple[Any, Any]) -> tuple[xr.DataArray, xr.DataArray]:
    if axis not in values.dims:
        found, known = repr(axis), ", ".join(map(str, values.dims))
        raise OptionError("`difference`", f"be along a dim of {values.name}", found, f"one of {known}")
    if not isinstance(labels, tuple | list) or len(labels) != 2:
        raise OptionError(f"`{axis}`", "be two labels", repr(labels), f"{axis}=(first, second)")
    return select(values, axis, labels[0]), select(values, axis, labels[1])
