"""Several studies combined into one cube: networks of different depths, or more seeds of one study."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube.attributes import storable
from elastic.cube.combining import Part, axes_of, combined
from elastic.cube.coordinates import Label
from elastic.cube.names import HOW_TO_OPEN, STATUS, TRAINING, Status
from elastic.errors import StudyError
from elastic.study.cube_attributes import EXCLUDED
from elastic.study.study import Study, open_study

#: Types that `combine` accepts as one study.
Combinable = Study | xr.DataTree | str | os.PathLike[str]


def combine(
    studies: Sequence[Combinable] | Mapping[Any, Combinable],
    *,
    dim: str = "study",
    labels: Sequence[Label] | None = None,
) -> xr.DataTree:
    """Combine the cubes of several studies into one, along a new axis or along one that all have.

    Layers are ordered by depth, whatever the depths of the networks; a layer, epoch, class or variable that a
    study does not have is NaN, with ``status`` 0 (missing). Epoch −1 is the last epoch of all studies: one that ended
    earlier has no number there. The result is a cube like any other: ``.elastic`` analyses it, the new axis is one of
    its axes, and ``to_zarr`` writes it. All numbers are held in memory.

    Parameters
    ----------
    studies
        Two or more: studies, their folders (or names under ``results``), or cubes, also parts of cubes; or a mapping
        of labels to these.
    dim
        Name of the new axis. If every study has an axis of this name ("seed"), the cubes are joined along it instead,
        and must differ in its labels.
    labels
        Along the new axis, one per study: strings or numbers. By default the names of the studies.

    Returns
    -------
    xarray.DataTree
        Each group with the dims (dim, axes of the studies, epoch, …). ``depth`` and ``width`` of the layers have the
        new axis where the studies differ. The attribute ``combined`` names the studies and their digests.

    Raises
    ------
    StudyError
        If there are fewer than two, or duplicate labels; if an axis is not in all of them, or has another meaning, or
        one of its labels has another value; if a variable has other dims or units.

    Examples
    --------
    >>> import elastic
    >>> def cube(*layers, name):
    ...     coords = {"seed": [0], "epoch": [0, 1], "layer": list(layers), "depth": ("layer", range(len(layers)))}
    ...     nc1 = xr.DataArray(np.ones((1, 2, len(layers))), coords, ("seed", "epoch", "layer"))
    ...     status = xr.DataArray(np.ones((1, 2), "int8"), dims=("seed", "epoch"))
    ...     groups = {"training": {"status": status}, "collapse": {"nc1": nc1, "status": status}}
    ...     tree = {group: xr.Dataset(v).assign_coords(seed=[0], epoch=[0, 1]) for group, v in groups.items()}
    ...     return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": name}), **tree})
    >>> flat = cube("input", "penultimate", "logits", name="flat")
    >>> deep = cube("input", "hidden_1", "hidden_2", "penultimate", "logits", name="deep")
    >>> both = elastic.combine([flat, deep])
    >>> both["collapse"]["layer"].values.tolist()
    ['input', 'hidden_1', 'hidden_2', 'penultimate', 'logits']
    >>> both["collapse"]["nc1"].sel(study="flat", seed=0, epoch=1).values
    array([ 1., nan, nan,  1.,  1.])
    """
    given, labels = _given(studies, labels)
    cubes = [_cube(one, place) for place, one in enumerate(given)]
    names = [str(cube.attrs.get("name", f"studies[{place}]")) for place, cube in enumerate(cubes)]
    if not isinstance(dim, str) or not dim.isidentifier():
        raise StudyError("`dim`", "be a name", repr(dim), '"study"')
    is_axis = all(dim in axes_of(cube) for cube in cubes)
    if is_axis and labels is not None:
        hint = f"leaving them out, or a new name: dim={dim + '_of_study'!r}"
        raise StudyError("`labels`", f"be left out along {dim!r}, an axis that the studies have", repr(labels), hint)
    _check_meaning(cubes, names)
    along = [axes_of(cube)[dim] for cube in cubes] if is_axis else [[label] for label in labels or _different(names)]
    labels_along = names if is_axis or labels is None else [str(label) for label in labels]
    whole = combined([Part(*one) for one in zip(labels_along, cubes, along, strict=True)], dim)
    whole.attrs = _attributes(whole, cubes, labels_along)
    return whole


def _given(studies: Any, labels: Any) -> tuple[list[Any], list[Label] | None]:
    """Return the studies and their labels, after validating their number and type."""
    if isinstance(studies, Mapping) and not isinstance(studies, xr.DataTree):
        if labels is not None:
            raise StudyError("`labels`", "be left out with a mapping", repr(labels), "a list of studies")
        given, labels = list(studies.values()), list(studies)
    else:
        is_one = isinstance(studies, str | os.PathLike | Study | xr.DataTree) or not isinstance(studies, Iterable)
        given = [] if is_one else list(studies)
        if is_one or len(given) < 2:
            found = type(studies).__name__ if is_one else f"{len(given)}"
            raise StudyError(
                "`studies`", "be two studies or more", found, 'elastic.combine(["results/a", "results/b"])'
            )
    if labels is None:
        return given, None
    labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
    kinds = {str if isinstance(label, str) else float if type(label) in (int, float) else None for label in labels}
    if len(labels) != len(given) or len(kinds) != 1 or None in kinds:
        expected = f"be {len(given)} texts or numbers, one a study"
        raise StudyError("`labels`", expected, repr(labels), "labels=['shallow', 'deep'], or leaving them out")
    return given, labels


def _cube(one: Any, place: int) -> xr.DataTree:
    if isinstance(one, str | os.PathLike):
        one = open_study(Path(one))
    cube = one.cube if isinstance(one, Study) else one
    if not isinstance(cube, xr.DataTree) or TRAINING not in cube.children or STATUS not in cube[TRAINING].dataset:
        hint = 'elastic.open_study("results/a"), its cube, or its path'
        raise StudyError(f"`studies[{place}]`", "be a study, its folder, or a cube", type(one).__name__, hint)
    return cube


def _different(names: Sequence[str]) -> list[str]:
    """Return the names of the studies, which label the new axis."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        found = f"{names.count(twice)} named {twice!r}"
        raise StudyError("the studies", "have different names", found, "labels=['first', 'second', …]")
    return list(names)


def _check_meaning(cubes: Sequence[xr.DataTree], names: Sequence[str]) -> None:
    """Raise if an axis sets different parts of the protocol in two studies, or if one label has two values."""
    known: dict[str, tuple[str, Any]] = {}
    labelled: dict[tuple[str, str], tuple[str, Any]] = {}
    for cube, name in zip(cubes, names, strict=True):
        axes = json.loads(cube.attrs.get("canonical_protocol", "{}")).get("axes", {})
        for axis, facts in axes.items():
            if not isinstance(facts, Mapping):
                continue
            before, path = known.setdefault(axis, (name, facts["path"]))
            if path != facts["path"]:
                found, hint = (
                    f"{path} in {before!r}, {facts['path']} in {name!r}",
                    "another name of the axis in one of them",
                )
                raise StudyError(f"the axis `{axis}`", "set one part of the protocol in every study", found, hint)
            for label, value in zip(facts["labels"], facts["values"], strict=True):
                before, other = labelled.setdefault((axis, str(label)), (name, value))
                if other != value:
                    found = f"{json.dumps(other)} in {before!r}, {json.dumps(value)} in {name!r}"
                    hint = "other labels in the protocol of one of them"
                    raise StudyError(f"`{label}` on the axis `{axis}`", "be one value in every study", found, hint)


def _attributes(whole: xr.DataTree, cubes: Sequence[xr.DataTree], names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of the root: those that all studies share, and the list of the studies."""
    first, *others = (cube.attrs for cube in cubes)
    agreed = {k: v for k, v in first.items() if all(k in o and np.array_equal(o[k], v) for o in others)}
    facts = {
        name: {fact: cube.attrs[fact] for fact in ("name", "title", "digest") if fact in cube.attrs}
        for name, cube in zip(names, cubes, strict=True)
    }
    digests = json.dumps([fact.get("digest") for fact in facts.values()])
    return storable(
        {
            **HOW_TO_OPEN,
            "title": agreed.pop("title", f"{' and '.join(names)} combined"),
            "name": agreed.pop("name", "_and_".join(names)),
            **{name: value for name, value in agreed.items() if name not in HOW_TO_OPEN},
            "digest": hashlib.sha256(digests.encode()).hexdigest(),
            "combined": facts,
            "seeds": axes_of(whole).get("seed", []),
            **_excluded(whole),
        }
    )


def _excluded(whole: xr.DataTree) -> dict[str, str]:
    """Return the attribute of the root for settings that no run of any study has; empty if there are none."""
    status = whole[TRAINING].dataset[STATUS]
    axes = [str(dim) for dim in status.dims if dim not in ("epoch", "seed")]
    absent = (status == Status.MISSING).all([d for d in status.dims if d not in axes])
    places = list(product(*(status[axis].values.tolist() for axis in axes)))
    excluded = [
        ", ".join(f"{axis}={value}" for axis, value in zip(axes, setting, strict=True))
        for setting in places
        if bool(absent.sel(dict(zip(axes, setting, strict=True))))
    ]
    return {EXCLUDED: "; ".join(excluded)} if excluded else {}
