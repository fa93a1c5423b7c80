"""The interface of metrics, and their registration.

A metric is a pure function with the decorator `metric`. **Its parameter names are the readings it needs**; a run or
`elastic.measure_collapse` calls it once per layer if it has those readings. Its facts (source, bounds, value at exact
collapse, …) become the attributes of the cube's variable, and tests check the metric against them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from elastic.close_names import nearest
from elastic.cube.attributes import BOUNDS, bounds_attribute
from elastic.errors import OptionError
from elastic.registry import Entry, registry

#: Name of a group of the cube: that of a registered probe.
Group = str
MetricFunction = Callable[..., Tensor]


@dataclass(frozen=True)
class MetricFacts:
    """The facts of a metric.

    Attributes
    ----------
    group
        Group of the variable in the cube.
    source
        Cite key in ``elastic/references.bib``.
    formula
        The definition in one line. It identifies the metric in cubes of other releases
        (`elastic.cube.renamed_variables`): change it only with the definition.
    units
        "1" if dimensionless.
    bounds
        Lower and upper bound; None if unbounded.
    at_collapse
        Value at exact collapse onto a simplex ETF with aligned classifier; None if it is not fixed.
    dims
        Dims beyond the group's own (epoch, split, layer): subset of class, other_class / stepped_class, observed_class.
    layerless
        Whether the value belongs to the network rather than to each layer.
    """

    group: Group
    source: str
    formula: str
    units: str = "1"
    bounds: tuple[float | None, float | None] = (None, None)
    at_collapse: float | None = None
    dims: tuple[str, ...] = ()
    layerless: bool = False


def metric(
    *,
    source: str,
    formula: str,
    group: Group = "collapse",
    units: str = "1",
    bounds: tuple[float | None, float | None] = (None, None),
    at_collapse: float | None = None,
    dims: tuple[str, ...] = (),
    layerless: bool = False,
    name: str | None = None,
) -> Callable[[MetricFunction], MetricFunction]:
    """Register a function of readings as a metric, with its facts (see `MetricFacts`).

    Raises
    ------
    OptionError
        If a metric of the user needs a reading that no metric of elastic in its group has: it would never be computed.
    """
    facts = MetricFacts(group, source, formula, units, bounds, at_collapse, dims, layerless)
    register = registry("metrics").register(name, facts)

    def registered(function: MetricFunction) -> MetricFunction:
        entry = Entry("metrics", name or function.__name__, function, facts)
        if entry.is_own:
            _check_readings(entry)
        return register(function)

    return registered


def _check_readings(entry: Entry) -> None:
    """Refuse a reading that the group does not have; of a group in which only users have metrics, none is known."""
    group = entry.facts.group
    shipped = (one for one in registry("metrics") if not one.is_own and one.facts.group == group)
    known = sorted({name for one in shipped for name in one.parameters})
    for reading in entry.parameters if known else ():
        if reading not in known:
            hint = nearest(reading, known, fallback=f"one of {', '.join(known)}")
            expected = f"have readings of the group {group} as its parameters"
            raise OptionError(f"metric `{entry.name}`", expected, repr(reading), hint)


def metrics_of(group: Group, readings: Collection[str]) -> list[Entry]:
    """Return the metrics of a group for which all readings are available, in alphabetical order."""
    return [e for e in registry("metrics") if e.facts.group == group and set(e.parameters) <= set(readings)]


def evaluate(group: Group, readings: Mapping[str, Any], *, layerless: bool = False) -> dict[str, Tensor]:
    """Compute every metric of a group for which the readings of one layer (or of the network) suffice.

    Raises
    ------
    OptionError
        If a metric does not return a tensor of real numbers.
    """
    return {
        entry.name: _checked(entry, entry.function(**{name: readings[name] for name in entry.parameters}))
        for entry in metrics_of(group, readings)
        if entry.facts.layerless == layerless
    }


def _checked(entry: Entry, value: object) -> Tensor:
    """Return the value of a metric, if it is a tensor of real numbers."""
    if isinstance(value, Tensor) and not value.is_complex():
        return value
    found = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
    raise OptionError(f"metric `{entry.name}`", "return a tensor of real numbers", found, "another value")


def attributes(entry: Entry) -> dict[str, Any]:
    """Return a metric's facts as attributes of its variable that netCDF and Zarr can store."""
    facts: MetricFacts = entry.facts
    attrs: dict[str, Any] = {
        "long_name": re.sub(r"\s+", " ", entry.summary).rstrip("."),
        "units": facts.units,
        "source": facts.source,
        "formula": facts.formula,
        BOUNDS: bounds_attribute(*facts.bounds),
    }
    if facts.at_collapse is not None:
        attrs["at_collapse"] = facts.at_collapse
    convention = re.search(r"^Convention: (.+?)(?:\n\n|\Z)", entry.docstring, re.M | re.S)
    if convention:
        attrs["convention"] = re.sub(r"\s+", " ", convention.group(1))
    return attrs
