"""The role of a layer in its network (input, hidden, output), by which layers are found whose names are the user's.

Cubes have a coordinate ``role`` along ``layer``. Older ones have not: there the input is called "input", the output
"logits", and all others are hidden.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

INPUT, HIDDEN, OUTPUT = "input", "hidden", "output"
#: What names stand for where a cube has no layer of that name: those of built-in models.
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
    """Return the values at the layer that a name of built-in models stands for; None where there is none.

    "logits" is the output, "penultimate" the deepest hidden layer, "input" the input. Where runs differ in their layers
    it is each run's own layer, which is then called by that name.

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
    """Return, of some layers, the value of the first that is there in each run."""
    bare = values.drop_vars([name for name, along in values.coords.items() if "layer" in along.dims])
    found = bare.isel(layer=places[0])
    for place in places[1:]:
        found = found.fillna(bare.isel(layer=place))
    return found.assign_coords(layer=label)
