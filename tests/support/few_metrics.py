"""Few metrics: a study with all of them has three hundred files, each of a kind with some others."""

from __future__ import annotations

import xarray as xr

from elastic.registry import registry

#: Metrics of small cubes: with classes in pairs, with components, of each layer, and of the network.
FEW = {
    "collapse": {"nc1", "class_cosine", "class_mean_spectrum", "nc4_mismatch"},
    "elasticity": {"response", "relative_similarity", "locality"},
}


def leave_few(patch, *more):
    """Leave out the other metrics until a MonkeyPatch is undone; those of the names in ``more`` stay, too."""
    registry("metrics").names()
    for name, entry in list(registry("metrics")._entries.items()):
        if name not in FEW.get(entry.facts.group, {name}).union(more):
            patch.delitem(registry("metrics")._entries, name)


def few_of(cube: xr.DataTree) -> xr.DataTree:
    """Return a cube with these variables of its probes, and with all of training."""
    groups = {name: node.to_dataset() for name, node in cube.children.items()}
    few = {name: group[sorted(FEW.get(name, set(group.data_vars)))] for name, group in groups.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **{f"/{name}": few[name] for name in few}})
