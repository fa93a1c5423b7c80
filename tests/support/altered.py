"""Studies that differ from a finished one in what their cube holds: under way, swept, with less measured."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import xarray as xr

from elastic.study import Study
from support import journals


class Altered(Study):
    """A study whose cube, and whose facts, are changed on reading; `whole`: its cube where that is read already."""

    def __init__(self, folder, change=None, *, whole=None, **facts):
        super().__init__(folder)
        self._change, self._whole = change or (lambda group: group), whole
        self.facts = copy.deepcopy(self.facts)
        self.facts["protocol"].update(facts)

    @property
    def cube(self):
        whole = super().cube if self._whole is None else self._whole
        groups = {name: self._change(node.to_dataset()) for name, node in whole.children.items()}
        kept = {f"/{name}": group for name, group in groups.items() if group is not None}
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=whole.attrs), **kept})


def one_of_each(cube, *names):
    """Return a cube with the first variable of each group, shape and type, and those of the names.

    Where every variable of a cube is treated by what it is, three hundred of them take seconds and show no more.
    """
    groups = {}
    for group, node in cube.children.items():
        dataset = node.to_dataset()
        first = {(variable.dims, variable.dtype): name for name, variable in [*dataset.data_vars.items()][::-1]}
        groups[f"/{group}"] = dataset[[name for name in dataset.data_vars if name in {*first.values(), *names}]]
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **groups})


def without(*names):
    """Return a change that drops groups: those that have a variable of one of the names."""
    return lambda group: None if set(names) & set(group.data_vars) else group


def until(epoch):
    """Return a change to a study that is under way: nothing is measured after an epoch."""
    return lambda group: group.assign(
        {name: v.where(v["epoch"] <= epoch) for name, v in group.data_vars.items() if name != "status"}
    )


def swept(axis, labels):
    """Return a change to a study with one more axis; at each next label every number is a tenth greater."""

    def change(group):
        parts = [
            group.assign({n: v * (1 + 0.1 * i) for n, v in group.data_vars.items() if n != "status"})
            for i in range(len(labels))
        ]
        along = xr.DataArray(labels, dims=axis, name=axis)
        return xr.concat(parts, along, data_vars="all", coords="minimal", compat="override", join="override")

    return change


def under_way(study: Study, folder: Path) -> Study:
    """Return a copy of a study whose last run stopped after its second epoch; nothing is sealed."""
    copied = Path(shutil.copytree(study.folder, folder / study.name))
    shutil.rmtree(copied / "cube.zarr")
    (copied / "manifest.sha256").unlink()
    run = copied / "runs" / study.cells[-1]["digest"]
    (run / "status.json").unlink()
    for record in sorted(journals.expand(run).glob("*.npz"))[3:]:
        record.unlink()
    return Study(copied)
