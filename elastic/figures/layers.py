"""The layers that a figure about hidden features shows: those asked for, or those between input and output."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from elastic.analysis.reading import at_layers, hidden_layers


def chosen_layers(values: xr.DataArray, layers: Sequence[str] | None = None) -> xr.DataArray:
    """Return the values at the layers asked for; by default at the hidden ones, or at all where none is hidden.

    Raises
    ------
    NotMeasured
        If the values have no such layer.

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
