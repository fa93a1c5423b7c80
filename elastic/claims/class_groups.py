"""The claim that pairs of classes within named groups differ from pairs between groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Annotated

import xarray as xr
from pydantic import Field

from elastic.analysis.logarithm import log
from elastic.analysis.reading import spelled
from elastic.claims.contract import Epoch, Evidence, Label, Layer, Selection, Source, Split, Variable, Where, claim
from elastic.claims.paired_comparison import By
from elastic.errors import OptionError
from elastic.registry import nearest

#: Dims of pairs of classes.
PAIRS = (("class", "other_class"), ("stepped_class", "observed_class"))

Groups = Annotated[
    dict[str, list[Label]],
    Field(
        min_length=2,
        description="Classes by label, in groups with names.",
        examples=[{"animals": ["cat", "dog"], "vehicles": ["car", "truck"]}],
        json_schema_extra={"names": "groups"},
    ),
]
Bound = Annotated[float | None, Field(description="Bound of the contrast; null: none on this side.")]


@claim(
    source="yang2023neurons",
    sentence="The {by} of {variable} within the groups {group_names} to that between them is {between}{in_layer} "
    "({split}, {at_epoch}{against_epoch}){where}",
)
def groups(
    selection: Selection,
    *,
    groups: Groups,
    variable: Variable = "class_cosine",
    by: By = "difference",
    least: Bound = None,
    most: Bound = None,
    split: Split = "train",
    layer: Layer = "penultimate",
    epoch: Epoch = -1,
    since: Annotated[int | None, Field(json_schema_extra={"names": "epoch"})] = None,
    where: Where = None,
    source: Source = "yang2023neurons",
) -> Evidence:
    """Classes of one group are more (or less) alike than classes of different groups.

    Effect: the contrast of the groups in each seed, the mean of the variable over pairs of different classes within a
    group, minus (for a ratio: over) that over pairs between groups. Every pair counts once in each order; classes of
    no group are left out.

    At exact collapse onto a simplex all cosines are −1/(K−1) and the contrast is 0, whatever the classes mean. Two
    claims say that semantic geometry appears and vanishes: the contrast is above some ``least`` at an early epoch, and
    below some ``most`` at the last one, or from ``since`` to the last it falls (``most: 0``).

    Parameters
    ----------
    groups
        Labels of the classes of each group, {name: [label, …]}: two groups at least, one of them of two classes; no
        class in two.
    variable
        Variable of pairs of classes: class_cosine, cdnv, relative_similarity, mean_shift, ….
    least
        Lower bound of the mean contrast, a factor for a ratio; null: none.
    most
        Upper bound of the mean contrast, a factor for a ratio; null: none.
    since
        Probed epoch whose contrast is subtracted (for a ratio: divided by); null: none, the contrast itself.

    Raises
    ------
    NotMeasured
        If the variable or an epoch was not measured.
    OptionError
        If there is no such class, layer or setting, if a class stands in two groups, no group has two classes, the
        variable has no pairs of classes, or the bounds leave nothing between them.
    """
    region = _region(by, least, most)
    values = selection.read(variable)
    contrast = _contrast(values, groups, variable, by)
    effect = selection.at_epoch(contrast)
    if since is not None:
        effect = effect - selection.at_epoch(contrast, since)
    quantity = f"{by} of {variable}, within {'over' if by == 'ratio' else 'minus'} between the groups"
    quantity += "" if since is None else f", {'over' if by == 'ratio' else 'minus'} that at epoch {since}"
    return Evidence(effect, region, quantity, math.exp if by == "ratio" else float)


def _region(by: str, least: float | None, most: float | None) -> tuple[float, float]:
    """Return the interval of effects that supports the claim, of logarithms for a ratio."""
    for name, bound in (("least", least), ("most", most)):
        if by == "ratio" and bound is not None and bound <= 0:
            raise OptionError(f"`{name}`", "be positive for a ratio", repr(bound), "by: difference")
    to = math.log if by == "ratio" else float
    region = (-math.inf if least is None else to(least), math.inf if most is None else to(most))
    if (least is None and most is None) or not region[0] < region[1]:
        raise OptionError("`least`", "be given, or most, and be below it", f"{least} and {most}", "least: 0.05")
    return region


def _contrast(values: xr.DataArray, groups: Mapping[str, list[Label]], variable: str, by: str) -> xr.DataArray:
    """Return the mean over pairs of classes within groups, minus (of logs for a ratio) that over pairs between them."""
    dims = next((pair for pair in PAIRS if set(pair) <= set(values.dims)), None)
    if dims is None:
        raise OptionError("`variable`", "be one of pairs of classes", repr(variable), "class_cosine")
    group_of = dict(_places(values[dims[0]], groups))
    within: list[xr.DataArray] = []
    between: list[xr.DataArray] = []
    for one, other in permutations(group_of, 2):
        pair = values.isel({dims[0]: one, dims[1]: other}, drop=True)
        (within if group_of[one] == group_of[other] else between).append(pair)
    if not within:
        raise OptionError("`groups`", "have a group of two classes", f"{len(groups)} of one class", "a class more")
    means = [xr.concat(pairs, dim="pair").mean("pair", skipna=False) for pairs in (within, between)]
    return log(means[0]) - log(means[1]) if by == "ratio" else means[0] - means[1]


def _places(classes: xr.DataArray, groups: Mapping[str, list[Label]]) -> Iterator[tuple[int, str]]:
    """Yield the position of each named class, and its group."""
    known, taken = [spelled(label) for label in classes.values.tolist()], dict[str, str]()
    for name, labels in groups.items():
        for label in map(spelled, labels):
            if label not in known:
                hint = nearest(label, known, fallback=f"one of {', '.join(known[:12])}")
                raise OptionError(f"`groups.{name}`", "be classes of the study", repr(label), hint)
            if label in taken:
                expected, found = "name each class once", f"{label!r}, which is in {taken[label]}"
                raise OptionError(f"`groups.{name}`", expected, found, "one group a class")
            taken[label] = name
            yield known.index(label), name
