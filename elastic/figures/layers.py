"""Selection of layers for figures: the requested ones, or those between input and output."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from elastic.analysis.reading import at_layers, hidden_layers


def chosen_layers(values: xr.DataArray, layers: Sequence[str] | None = None) -> xr.DataArray:
    """Select layers; by default the hidden ones, or all if none is hidden.

    Raises
    ------
    NotMeasured
        If a layer is missing.

    Examples
    --------
    >>> nc1 = xr.DataArray([4.0, 2.0, 9.0], dims="layer", coords={"layer": ["input", "penultimate", "logits"]})
    >>> chosen_layers(nc1).values, chosen_layers(nc1, ["logits", "input"]).values
    (array([2.]), array([9., 4.]))
    """
    if layers is None:
        hidden = hidden_layers(values)
        return hidden if hidden.sizes["layer"] else values
    return at_layers(values, layers)
