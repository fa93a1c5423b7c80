"""What a study holds, as far as a notebook asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.analysis.depth import LEAST_LAYERS
from elastic.analysis.reading import hidden_layers, read, settings_axes
from elastic.display.headline import measured_epochs
from elastic.errors import NotMeasured
from elastic.study import Study

#: Variables that cells are about.
ASKED = ("accuracy", "nc1", "fuzziness", "locality", "relative_similarity")


@dataclass(frozen=True)
class Holdings:
    """What there is to be read.

    Attributes
    ----------
    variables
        Those of `ASKED` with a value at all.
    split
        Of the collapse that is read: "train" wherever that was probed.
    axes
        Values along each axis but the seed, as the cube labels them.
    epoch, trained
        Last epoch that is probed, and trained: −1, or the last one that a study under way has reached.
    fits
        Whether there are layers enough for a line through them.
    claims
        How many the protocol makes.
    """

    variables: frozenset[str]
    split: str
    axes: Mapping[str, Sequence[Any]]
    epoch: float
    trained: float
    fits: bool
    claims: int


def holdings(study: Study) -> Holdings:
    """Return what a study holds, which may be under way."""
    cube = study.cube
    status = cube["training"].dataset["status"]
    read_by_name = {name: values for name in ASKED if (values := _values(cube, name)) is not None}
    splits = cube["collapse"].dataset["split"].values.tolist() if "collapse" in cube.children else ["train"]
    fuzziness = read_by_name.get("fuzziness")
    return Holdings(
        frozenset(read_by_name),
        "train" if "train" in splits else splits[0],
        {axis: status[axis].values.tolist() for axis in settings_axes(status)},
        _reached(values for name, values in read_by_name.items() if name != "accuracy"),
        _reached(values for name, values in read_by_name.items() if name == "accuracy"),
        fuzziness is not None and hidden_layers(fuzziness).sizes["layer"] >= LEAST_LAYERS,
        len(study.facts["protocol"].get("claims") or ()),
    )


def _values(cube: xr.DataTree, name: str) -> xr.DataArray | None:
    try:
        values = read(cube, name, split=None)
    except NotMeasured:
        return None
    return values if bool(values.notnull().any()) else None


def _reached(found: Iterable[xr.DataArray]) -> float:
    """Return the last epoch that all variables have, as an integer where it is one; −1 if it is the study's last."""
    ends = [(measured_epochs(values)[-1], values["epoch"][-1].item()) for values in found]
    if all(reached == end for reached, end in ends):
        return -1
    last = min(reached for reached, _ in ends)
    return int(last) if float(last).is_integer() else last
