"""The parts of an account of single steps: on the class itself, on the other classes, and by weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.reading import read

#: Parts of an account: by steps on the class itself, on the other classes, and by weight decay.
PARTS = ("own", "other", "decay")
PAIR, STEPPED = ("class", "other_class"), ("stepped_class", "observed_class")

#: A quantity at each probe, and the parts of its rate.
Levels = tuple[xr.DataArray, dict[str, xr.DataArray]]


def levels_and_rates(
    cube: xr.DataTree, where: Mapping[str, Any] | None, gram: xr.DataArray, variance: xr.DataArray
) -> tuple[Levels, Levels]:
    """Return the mean over classes of squared distances and of variances, each with the parts of its rate."""
    share = read(cube, "class_steps/step_share", where=where)
    share = share.sel(epoch=gram["epoch"].values)
    own = xr.DataArray(np.eye(gram.sizes["class"]), dims=STEPPED)
    decays = {
        "between": _diagonal(read(cube, "class_steps/mean_gram_decay_response", where=where)).mean("class"),
        "within": read(cube, "class_steps/class_variance_decay_response", where=where).mean("class"),
    }
    levels = {"between": _diagonal(gram).mean("class"), "within": variance.mean("class")}
    groups = []
    for name, variable in (("between", "between_response"), ("within", "class_variance_response")):
        rates = share * read(cube, f"class_steps/{variable}", where=where)
        dims = levels[name].dims
        total, same = rates.sum(STEPPED) / gram.sizes["class"], (rates * own).sum(STEPPED) / gram.sizes["class"]
        missing = levels[name].isnull()
        parts = {"own": same, "other": total - same, "decay": decays[name]}
        groups.append((levels[name], {part: rate.where(~missing).transpose(*dims) for part, rate in parts.items()}))
    return groups[0], groups[1]


def _diagonal(gram: xr.DataArray) -> xr.DataArray:
    """Return the entries of a class with itself, […, class]."""
    places = xr.DataArray(np.arange(gram.sizes["class"]), dims="class")
    return gram.drop_vars(PAIR, errors="ignore").isel({"class": places, "other_class": places})
