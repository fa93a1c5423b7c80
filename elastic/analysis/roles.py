"""The role of a layer in its network (input, hidden, output), which identifies the layers of external models.

Cubes have a coordinate ``role`` along ``layer``. Older ones lack it: there the input is named "input", the output
"logits", and all other layers are hidden.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

INPUT, HIDDEN, OUTPUT = "input", "hidden", "output"
#: Roles of the layer names of built-in models, for cubes without a layer of that name.
ROLES = {"input": INPUT, "penultimate": HIDDEN, "logits": OUTPUT}


def roles_of(values: xr.DataArray) -> list[str]:
    """Return the role of each layer.

    >>> layer = ["input", "layer1", "logits"]
    >>> roles_of(xr.DataArray([1, 2, 3], dims="layer", coords={"layer": layer}))
    ['input', 'hidden', 'output']
    >>> role = ("layer", ["input", "hidden", "hidden"])
    >>> roles_of(xr.DataArray([1, 2, 3], dims="layer", coords={"layer": layer, "role": role}))
    ['input', 'hidden', 'hidden']
    """
    by_name = [{"input": INPUT, "logits": OUTPUT}.get(str(name), HIDDEN) for name in values["layer"].values]
    names = [name for name in ("role", "layer_role") if name in values.coords and values[name].dims == ("layer",)]
    if not names:
        return by_name
    known = [str(role) for role in values[names[0]].values]
    return [role if role in ROLES.values() else other for role, other in zip(known, by_name, strict=True)]


def standing_for(values: xr.DataArray, label: Any) -> xr.DataArray | None:
    """Select the layer that corresponds to a layer name of built-in models; None for other names.

    "logits" is the output, "penultimate" the deepest hidden layer, "input" the input. If runs differ in their layers,
    each run's own layer is selected, under that name.

    Examples
    --------
    >>> role = ("layer", ["input", "hidden", "hidden", "output"])
    >>> layer = ["input", "layer1", "layer4", "fc"]
    >>> nc1 = xr.DataArray([9, 4, 2, 1], dims="layer", coords={"layer": layer, "role": role})
    >>> [standing_for(nc1, name)["layer"].item() for name in ("penultimate", "logits")]
    ['layer4', 'fc']
    """
    role = ROLES.get(label) if isinstance(label, str) else None
    places = [place for place, known in enumerate(roles_of(values)) if known == role]
    if not places:
        return None
    if role != HIDDEN:
        return values.isel(layer=places[0]) if len(places) == 1 else _first_there(values, places, label)
    if "depth" not in values.coords or "layer" not in values["depth"].dims:
        return values.isel(layer=places[-1])
    is_hidden = xr.DataArray([place in places for place in range(values.sizes["layer"])], dims="layer")
    depth = values["depth"].where(is_hidden).drop_vars("layer", errors="ignore")
    is_deepest = depth == depth.max("layer")
    deepest = [place for place in places if is_deepest.isel(layer=place).any()]
    if len(deepest) == 1:
        return values.isel(layer=deepest[0])
    return _first_there(values.where(is_deepest), deepest, label) if deepest else None


def _first_there(values: xr.DataArray, places: list[int], label: Any) -> xr.DataArray:
    """Return the value of the first existing layer of each run."""
    bare = values.drop_vars([name for name, along in values.coords.items() if "layer" in along.dims])
    chosen = bare.isel(layer=places[0])
    for place in places[1:]:
        chosen = chosen.fillna(bare.isel(layer=place))
    return chosen.assign_coords(layer=label)
