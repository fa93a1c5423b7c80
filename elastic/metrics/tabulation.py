"""Computation of all metrics from the readings of each layer, as one array per variable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elastic.errors import OptionError
from elastic.metrics.contract import Group, evaluate, metrics_of
from elastic.metrics.on_processor import on_processor
from elastic.registry import Entry

FloatArray = npt.NDArray[np.float64]
Readings = Mapping[str, Any]


def variables_of(group: Group, by_layer: Mapping[str, Collection[str]], of_network: Collection[str]) -> list[Entry]:
    """Return the metrics for which the readings of some layer (of the network, if layerless) suffice."""
    entries = {
        e.name: e for readings in by_layer.values() for e in metrics_of(group, readings) if not e.facts.layerless
    }
    entries |= {e.name: e for e in metrics_of(group, of_network) if e.facts.layerless}
    return [entries[name] for name in sorted(entries)]


def tabulate(
    group: Group, layers: Sequence[str], by_layer: Mapping[str, Readings], of_network: Readings | None = None
) -> dict[str, FloatArray]:
    """Compute every metric of a group in every layer.

    Parameters
    ----------
    group
        Group of the metrics in the cube.
    layers
        The L layers, in order.
    by_layer
        Readings of each layer by name.
    of_network
        Readings of the whole network, for layerless metrics.

    Returns
    -------
    dict
        float64 arrays [L, …] by variable (no leading L for layerless ones), NaN in layers that lack a reading.
    """
    evaluated = {layer: evaluate(group, on_processor(by_layer[layer])) for layer in layers}
    table: dict[str, FloatArray] = {}
    for entry in variables_of(group, by_layer, {}):
        rows = {layer: to_array(values[entry.name]) for layer, values in evaluated.items() if entry.name in values}
        shape = next(iter(rows.values())).shape
        if any(row.shape != shape for row in rows.values()):
            found = ", ".join(sorted({str(row.shape) for row in rows.values()}))
            hint = f"a value that has its dims {entry.facts.dims}"
            raise OptionError(f"metric `{entry.name}`", "return one shape in every layer", found, hint)
        nothing = np.full(shape, np.nan)
        table[entry.name] = np.stack([rows.get(layer, nothing) for layer in layers])
    if of_network:
        table |= {
            name: to_array(value) for name, value in evaluate(group, on_processor(of_network), layerless=True).items()
        }
    return table


def to_array(value: Any) -> FloatArray:
    """Return a tensor as a float64 NumPy array."""
    return np.asarray(value.detach().cpu().numpy(), dtype=np.float64)
