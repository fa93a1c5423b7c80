"""Selection of a variable of a cube by name, at given settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import xarray as xr

from elastic.analysis.derived import DERIVED
from elastic.analysis.epochs import epoch_label, epoch_position
from elastic.analysis.roles import HIDDEN, INPUT, roles_of, standing_for
from elastic.errors import NotMeasured, OptionError
from elastic.registry import nearest

#: Dims other than the axes of a study, and the seed, which every study has.
OWN_DIMS = frozenset(
    {"seed", "epoch", "split", "layer", "class", "other_class", "component", "stepped_class", "observed_class"}
    | {"unseen_class", "other_unseen_class", "shots", "output"}
)

#: ``status`` of an epoch without a record, as the cube's ``flag_meanings`` say.
NO_RECORD = 0


def read(
    cube: xr.DataTree, variable: str, *, split: str | None = "train", where: Mapping[str, Any] | None = None
) -> xr.DataArray:
    """Select a variable of a cube.

    Parameters
    ----------
    cube
        Cube with groups of variables, such as `elastic.open_study(…).cube`.
    variable
        Name, with or without the group: "nc1" or "collapse/nc1"; or a derived variable
        (`elastic.analysis.derived.DERIVED`), such as "kernel_change".
    split
        Split to select, if the variable has splits; None keeps all.
    where
        Labels to select on axes and other dims, {dim: label}.

    Returns
    -------
    xarray.DataArray
        The variable with the axes that ``where`` does not name, including ``seed``, and its own dims.

    Raises
    ------
    NotMeasured
        If the cube lacks the variable, the split or the label.
    OptionError
        If ``where`` names an unknown dim.

    Examples
    --------
    >>> nc1 = xr.DataArray([[[4.0, 1.0]]], dims=("seed", "split", "layer"),
    ...                    coords={"seed": [0], "split": ["train"], "layer": ["hidden_1", "penultimate"]})
    >>> cube = xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1})})
    >>> read(cube, "nc1", where={"layer": "penultimate"}).values
    array([1.])
    >>> read(cube, "nc_1")
    Traceback (most recent call last):
    ...
    elastic.errors.NotMeasured: `nc_1` should be a variable of the cube; found 'nc_1'; try 'nc1'
    """
    values = _variable(cube, variable)
    if split is not None and "split" in values.dims:
        values = select(values, "split", split)
    for dim, label in (where or {}).items():
        if (chosen := at_together(values, dim, label)) is not None:
            values = chosen
            continue
        if dim not in values.dims:
            known = [str(d) for d in values.dims]
            hint = nearest(dim, known, fallback=f"one of {', '.join(known)}")
            raise OptionError(f"`where.{dim}`", f"be a dim of {variable}", repr(dim), hint)
        values = select(values, dim, label)
    return values


def select(values: xr.DataArray, dim: str, label: Any) -> xr.DataArray:
    """Select a label of a dim.

    An epoch may be given by its label (`elastic.analysis.epochs.epoch_label`); negative ones count from the last.

    For external models "penultimate" is the deepest hidden layer and "logits" the output.

    Raises
    ------
    NotMeasured
        If the dim lacks the label.
    """
    labels = values[dim].values.tolist()
    if label in labels:
        return values.isel({dim: labels.index(label)})
    if spelled(label) in map(spelled, labels):  # an axis of switches is labelled 'true', 'false'
        return values.isel({dim: [spelled(known) for known in labels].index(spelled(label))})
    if dim == "epoch" and (position := epoch_position(labels, label)) is not None:
        return values.isel(epoch=position)
    if dim == "layer" and (substitute := standing_for(values, label)) is not None:
        return substitute
    known = [epoch_label(known) if dim == "epoch" else str(known) for known in labels]
    hint = nearest(str(label), known, fallback=f"one of {', '.join(known[:12])}")
    raise NotMeasured(f"`{dim}`", f"be one that the cube has for {values.name}", repr(label), hint)


def at_together(values: xr.DataArray, name: str, label: Any) -> xr.DataArray | None:
    """Select a label of an axis that varies together with others along one dim; None for other axes.

    The dim is kept if several positions have the label.

    Examples
    --------
    >>> values = xr.DataArray([5, 6, 7], dims="size", coords={"size": list("abc"), "rate": ("size", [1.0, 2.0, 2.0])})
    >>> at_together(values, "rate", 1).item(), at_together(values, "rate", 2).values, at_together(values, "size", "a")
    (5, array([6, 7]), None)
    """
    if name in values.dims or name not in values.coords or values[name].ndim != 1:
        return None
    dim, labels = str(values[name].dims[0]), values[name].values.tolist()
    if dim in OWN_DIMS:
        return None
    places = [place for place, known in enumerate(labels) if known == label or spelled(known) == spelled(label)]
    if not places:
        known = list(dict.fromkeys(map(str, labels)))
        hint = nearest(str(label), known, fallback=f"one of {', '.join(known[:12])}")
        raise NotMeasured(f"`{name}`", f"be one that the cube has for {values.name}", repr(label), hint)
    return values.isel({dim: places[0] if len(places) == 1 else places})


def hidden_layers(values: xr.DataArray, include_input: bool = False) -> xr.DataArray:
    """Select the layers between the input and the output, by their ``role``.

    Input and output would distort fits over layers: the input is not learned, and the logits have only K units. The
    input can be included, as the authors of the law of equi-separation do (he2023law).

    >>> hidden_layers(xr.DataArray([1, 2, 3], dims="layer", coords={"layer": ["input", "hidden_1", "logits"]})).item()
    2
    """
    wanted = {HIDDEN, INPUT} if include_input else {HIDDEN}
    return values.isel(layer=[place for place, role in enumerate(roles_of(values)) if role in wanted])


def at_layers(values: xr.DataArray, names: Sequence[str] | None) -> xr.DataArray:
    """Select layers by name, in the given order; None selects the hidden ones.

    Raises
    ------
    NotMeasured
        If a layer is missing.
    """
    if names is None:
        return hidden_layers(values)
    chosen = [select(values, "layer", name) for name in names]
    known = values["layer"].values.tolist()
    if all(layer["layer"].item() in known for layer in chosen):
        return values.isel(layer=[known.index(layer["layer"].item()) for layer in chosen])
    described = {name for name, along in values.coords.items() if "layer" in along.dims} - {"layer"}
    bare = [layer.drop_vars(described, errors="ignore") for layer in chosen]
    return xr.concat(bare, "layer", coords="minimal", compat="override").transpose(*values.dims)


def settings_axes(values: xr.DataArray) -> tuple[str, ...]:
    """Return the remaining axes of a study, without the seed."""
    return tuple(str(dim) for dim in values.dims if dim not in OWN_DIMS)


def settings_of(cube: xr.DataTree) -> Iterator[dict[str, Any]]:
    """Yield each combination of the study's axes without the seed; one empty combination if there are no other axes.

    Combinations that the protocol excludes (the attribute ``excluded`` of the cube) are skipped.
    """
    status = cube["training"].dataset["status"]
    axes = settings_axes(status)
    for labels in product(*(status[axis].values.tolist() for axis in axes)):
        setting = dict(zip(axes, labels, strict=True))
        if "excluded" in cube.attrs and bool((status.sel(setting) == NO_RECORD).all()):
            continue
        yield setting


def spelled(label: Any) -> str:
    """Format a label as in a cube.

    >>> spelled(True), spelled("wide"), spelled(0.5)
    ('true', 'wide', '0.5')
    """
    return str(label).lower() if isinstance(label, bool) else str(label)


def names_of(cube: xr.DataTree) -> list[str]:
    """Return the names of a cube's groups, of their variables, and of derived variables.

    >>> names_of(xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": 1.0, "cdnv": 2.0})}))
    ['cdnv', 'collapse', 'nc1', 'nc1_depth_slope']
    """
    held = {str(name) for group in cube.children.values() for name in group.dataset.data_vars}
    computed = {name for name, derived in DERIVED.items() if derived.of in held}
    return sorted({*held, *computed, *cube.children})


def _variable(cube: xr.DataTree, variable: str) -> xr.DataArray:
    group, _, name = variable.rpartition("/")
    for child in cube.children.values():
        if group in ("", child.name) and name in child.dataset.data_vars:
            return child.dataset[name]
    if variable in DERIVED:
        return DERIVED[variable](_variable(cube, DERIVED[variable].of))
    if group and group not in cube.children:
        raise NotMeasured(
            f"`{variable}`", "be a variable of the cube", repr(variable), f"the probe `probes.{group}: {{}}`"
        )
    known = [str(name) for child in cube.children.values() for name in child.dataset.data_vars]
    hint = nearest(name, known, fallback="a protocol that probes it (elastic list metrics)")
    raise NotMeasured(f"`{variable}`", "be a variable of the cube", repr(variable), hint)
