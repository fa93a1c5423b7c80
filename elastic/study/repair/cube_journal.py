"""The journal of a run, rebuilt from the sealed cube, which holds all its numbers exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from elastic.cube import Journal, Layout, Status, compact_journal
from elastic.cube.coordinates import indices
from elastic.cube.names import STATUS, TRAINING
from elastic.errors import ElasticError, StudyError
from elastic.study.repair.actions import Actions


def rebuild(actions: Actions, run: str, layout: Layout, cube: xr.DataTree, at: Mapping[str, int]) -> bool:
    """Write the records that a run's journal lacks from the sealed cube; the caller owns the run.

    Existing records are compared with the cube.

    Parameters
    ----------
    actions
        Of the repair.
    run
        Path of the run's folder in the study.
    layout
        What the run records.
    cube
        The sealed cube, which is intact.
    at
        Position of the run on each axis.

    Returns
    -------
    bool
        Whether the journal is now complete; False if the cube cannot show whether an open run diverged.
    """
    folder: Path = actions.folder / run
    try:
        journal = Journal(folder, layout, writing=True)
        written = 0
        for epoch, record in records(cube, layout, at):
            if not journal.holds(epoch):
                written += 1
            journal.append(epoch, record)
        compact_journal(journal)
    except (ElasticError, KeyError, ValueError) as error:
        actions.say(f"{run}/journal", f"not rebuilt from the sealed cube: {error}")
        return False
    actions.say(f"{run}/journal", f"{written} records rebuilt from the sealed cube, bit by bit")
    return True


def records(cube: xr.DataTree, layout: Layout, at: Mapping[str, int]) -> Iterator[tuple[int | float, dict[str, Any]]]:
    """Yield each recorded epoch of a run and its record, as `elastic.cube.Journal.append` takes it.

    Raises
    ------
    StudyError
        If the cube does not determine the records: those of an open run after it diverged.
    """
    groups = {name: cube[name].to_dataset() for name in dict(layout.groups or {}) if name in cube.children}
    groups = {name: group.isel(dict(at)) for name, group in groups.items()}
    status = groups[TRAINING][STATUS].load()
    numbers = {variable.key: _numbers(groups, layout, variable) for variable in layout.variables}
    epochs = {name: {_plain(e): i for i, e in enumerate(group["epoch"].values)} for name, group in groups.items()}
    for epoch, state in zip(map(_plain, status["epoch"].values), status.values, strict=True):
        if state == Status.MISSING:
            continue
        record: dict[str, Any] = {STATUS: Status(int(state))}
        for variable in layout.variables:
            place = epochs.get(variable.group, {}).get(epoch)
            values = numbers[variable.key]
            is_there = place is not None and (variable.group == TRAINING or _is_probed(groups, variable.group, place))
            if values is not None and is_there:
                record[variable.key] = values[place]
        yield epoch, record
        if state == Status.DIVERGED:
            if layout.is_open:
                expected = "say which records there were"
                raise StudyError("the cube", expected, "an open run that diverged", "recording it again")
            return


def _numbers(groups: Mapping[str, xr.Dataset], layout: Layout, variable: Any) -> np.ndarray[Any, Any] | None:
    """Return a variable [epoch, …] of a run, with its own labels; None if the cube does not have it."""
    if variable.group not in groups or variable.name not in groups[variable.group]:
        return None
    group = groups[variable.group]
    array = group[variable.name].transpose("epoch", *variable.dims)
    for dim in variable.dims:
        array = array.isel({dim: indices(group[dim].values.tolist(), layout.labels(variable.group, dim))})
    return np.asarray(array.values)


def _is_probed(groups: Mapping[str, xr.Dataset], group: str, place: int) -> bool:
    """Return whether a run has numbers of a group at an epoch: the cube also has labels of other runs' epochs."""
    return bool(groups[group][STATUS].values[place] == Status.DONE)


def _plain(epoch: Any) -> int | float:
    return int(epoch) if epoch == int(epoch) else float(epoch)
