"""The contents of a study that a notebook can analyse."""

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

#: Variables that the cells use.
ASKED = ("accuracy", "nc1", "fuzziness", "locality", "relative_similarity")


@dataclass(frozen=True)
class Holdings:
    """The contents of a study that a notebook can analyse.

    Attributes
    ----------
    variables
        Variables of `ASKED` with a finite value.
    split
        Split of the collapse metrics: "train" if that was probed.
    axes
        Labels along each axis except the seed.
    epoch, trained
        Last probed and last trained epoch: −1, or the last one that all unfinished runs have reached.
    fits
        Whether there are enough layers to fit a line.
    claims
        Number of claims in the protocol.
    """

    variables: frozenset[str]
    split: str
    axes: Mapping[str, Sequence[Any]]
    epoch: float
    trained: float
    fits: bool
    claims: int


def holdings(study: Study) -> Holdings:
    """Return the contents of a study, whose runs may be unfinished."""
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


def _reached(measured: Iterable[xr.DataArray]) -> float:
    """Return the last epoch that all variables have, as an integer if it is one; −1 if it is the study's last."""
    ends = [(measured_epochs(values)[-1], values["epoch"][-1].item()) for values in measured]
    if all(reached == end for reached, end in ends):
        return -1
    last = min(reached for reached, _ in ends)
    return int(last) if float(last).is_integer() else last
