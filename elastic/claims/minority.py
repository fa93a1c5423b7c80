"""Claims on imbalanced data: minority classes become indistinguishable."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Annotated

import xarray as xr
from pydantic import Field

from elastic.analysis.reading import spelled
from elastic.claims.contract import Classes, Epoch, Evidence, Selection, Split, Variable, Where, claim
from elastic.claims.scales import fisher_z
from elastic.errors import OptionError


@claim(
    source="fang2021exploring",
    sentence="The minority classes {classes} become one: the mean {variable} among them is above {min_cosine:g} "
    "(penultimate layer, {split}, {at_epoch}){where}",
)
def minority_collapses(
    selection: Selection,
    *,
    classes: Classes,
    variable: Variable = "classifier_cosine",
    min_cosine: Annotated[float, Field(gt=-1, lt=1)],
    split: Split = "train",
    epoch: Epoch = -1,
    where: Where = None,
) -> Evidence:
    """Minority classes become indistinguishable: their cosines go to 1.

    Effect: Fisher's z of the mean cosine over pairs of the named classes. Near 1, cosines are skewed over seeds; their
    z is not.

    Parameters
    ----------
    classes
        Labels of the minority classes.
    variable
        Cosines: classifier_cosine (rows of the last layer's weights, which the theorem is about) or class_cosine
        (class means of the features about the global mean).
    min_cosine
        Bound of the mean cosine.

    Raises
    ------
    NotMeasured
        If the cosines or the epoch were not measured.
    OptionError
        If there is no such class or setting, if a class is named twice, or the variable has no pairs of classes.
    """
    values = selection.read(variable, layer="penultimate")
    if not {"class", "other_class"} <= set(values.dims):
        raise OptionError("`variable`", "be one of pairs of classes", repr(variable), "classifier_cosine")
    values, known = selection.at_epoch(values), [spelled(label) for label in values["class"].values.tolist()]
    places: list[int] = []
    for label in classes:
        if spelled(label) not in known:
            raise OptionError("`classes`", "be a class of the study", repr(label), f"one of {', '.join(known)}")
        if (place := known.index(spelled(label))) in places:  # the cosine of a class with itself is 1
            raise OptionError("`classes`", "name each class once", repr(label), "leaving it out")
        places.append(place)
    pairs = [values.isel({"class": a, "other_class": b}, drop=True) for a, b in combinations(sorted(places), 2)]
    mean = xr.concat(pairs, dim="pair").mean("pair", skipna=False)
    return Evidence(fisher_z(mean), (math.atanh(min_cosine), math.inf), f"mean {variable} of the minority", math.tanh)
