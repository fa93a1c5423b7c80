"""Labels for results without a protocol: variables with their attributes over layers, classes and pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from elastic.cube.attributes import BOUNDS, bounds_attribute
from elastic.cube.portable import fixed_width
from elastic.metrics.contract import attributes
from elastic.metrics.tabulation import FloatArray, to_array
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import INPUT, LOGITS
from elastic.registry import registry


def labelled(
    table: Mapping[str, FloatArray],
    group: Literal["collapse", "elasticity"],
    widths: Mapping[str, int],
    coords: Mapping[str, npt.NDArray[Any]],
    output: str = LOGITS,
) -> xr.Dataset:
    """Label a table of metrics: layer with depth, width and role, and the dims of each metric."""
    data = {}
    for name, values in table.items():
        entry = registry("metrics").get(name)
        of_layers = () if entry.facts.layerless else ("layer",)
        data[name] = ((*of_layers, *entry.facts.dims), values, attributes(entry))
    first = 0 if next(iter(widths)) == INPUT else 1
    depth = np.arange(first, first + len(widths))
    layer = {
        "layer": np.array(list(widths), dtype=np.str_),
        "depth": ("layer", depth),
        "role": ("layer", np.array([{INPUT: "input", output: "output"}.get(name, "hidden") for name in widths])),
        "width": ("layer", np.array(list(widths.values()))),
    }
    occurring = {dim for dims, _, _ in data.values() for dim in dims}
    classes = {name: fixed_width(names) for name, names in coords.items() if name in occurring}
    return xr.Dataset(data, {**layer, **classes}, attrs={"group": group})


def pair_responses(
    responses: Mapping[str, UpdateResponse], stepped: npt.NDArray[Any], observed: npt.NDArray[Any]
) -> xr.Dataset:
    """Return ‖Δ(m;a)‖ and ⟨Δ(m;a), Δ(a;a)⟩ of every pair of samples, NaN for a sample with itself, and ‖Δ(a;a)‖.

    Relative similarities of pairs are ``pair_response / own_response``, kernelised ones
    ``pair_product / own_response**2``.
    """
    per_lr = "feature per unit learning rate"

    def facts(long_name: str, units: str, formula: str, low: float | None) -> dict[str, Any]:
        bounds = {BOUNDS: bounds_attribute(low, None)}
        return {"long_name": long_name, "units": units, "source": "he2020local", "formula": formula, **bounds}

    def of_pairs(name: str, attrs: dict[str, Any]) -> tuple[tuple[str, ...], FloatArray, dict[str, Any]]:
        values = [np.where(to_array(r.counted) > 0, to_array(getattr(r, name)), np.nan) for r in responses.values()]
        return ("layer", "stepped", "observed"), np.stack(values), attrs

    of_norms = facts("movement of each observed sample under each step", per_lr, "‖Δ(m;a)‖", 0)
    of_products = facts("inner product of that with the stepped sample's own", f"({per_lr})²", "⟨Δ(m;a), Δ(a;a)⟩", None)
    own = np.stack([to_array(r.own_norms) for r in responses.values()])
    of_own = facts("movement of each stepped sample itself", per_lr, "‖Δ(a;a)‖", 0)
    coords = {
        "layer": np.array(list(responses), dtype=np.str_),
        "stepped_label": ("stepped", stepped),
        "observed_label": ("observed", observed),
    }
    data = {
        "pair_response": of_pairs("norms", of_norms),
        "pair_product": of_pairs("products", of_products),
        "own_response": (("layer", "stepped"), own, of_own),
    }
    return xr.Dataset(data, coords)
