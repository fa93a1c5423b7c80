"""Validation of a protocol's claims against the layout of the study's cube, before training or writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xarray as xr

from elastic.analysis.reading import spelled
from elastic.cube import Layout, read_layout, with_axes_along
from elastic.cube.outline import outline
from elastic.errors import ElasticError, OptionError, ProtocolError
from elastic.protocol import Protocol
from elastic.protocol.cells import representatives
from elastic.protocol.diagnostics import first_mistake
from elastic.protocol.formatting import dotted
from elastic.protocol.later_components import options_of
from elastic.protocol.validation_errors import Problem
from elastic.registry import Entry, registry
from elastic.study.folders import RUNS

#: Note on a study with claims and a single seed.
ONE_SEED = "`axes.seed` has one seed: no claim can be supported or refuted; try seed: [0, 1, 2]"


def check_claims(
    protocol: Protocol,
    folder: Path,
    allow: Sequence[str],
    device: str | None,
    known: Mapping[str, Layout] | None = None,
) -> list[str]:
    """Refuse claims that name a layer, class, epoch, split, axis, setting or variable that the study will not have.

    Parameters
    ----------
    protocol
        Of the study.
    folder
        Of the study; layouts of runs that have begun are read there.
    allow, device
        As `elastic.run` takes them.
    known
        Layouts that are known already, by the digest of a cell.

    Returns
    -------
    list of str
        Notes on claims that cannot be decided: with one seed, or too few layers.

    Raises
    ------
    ProtocolError
        For all claims that name what the cube will not have, each with its place in the file.
    """
    if not protocol.claims:
        return []
    from elastic.runs.planned_layouts import planned_layouts

    layouts = planned_layouts(protocol, allow, device, {**_recorded(protocol, folder), **(known or {})})
    wrong, undecided = mistakes_in_claims(protocol, planned_cube(protocol, layouts))
    if wrong:
        raise first_mistake(wrong, protocol.places)
    notes = [f"{first_mistake([one], protocol.places)} (this claim will be inconclusive)" for one in undecided]
    return [*notes, *([ONE_SEED] if len(protocol.axes.seed) == 1 else [])]


def planned_cube(protocol: Protocol, layouts: Mapping[str, Layout]) -> xr.DataTree:
    """Return the cube that the representatives of a study will fill, for one seed: seeds differ only in numbers."""
    seed = protocol.axes.seed[0]
    runs = [({**cell.coordinates, "seed": seed}, layouts.get(cell.digest)) for cell in representatives(protocol.cells)]
    return with_axes_along(outline(runs, {**protocol.axis_labels, "seed": [seed]}), protocol.grid.along)


def mistakes_in_claims(protocol: Protocol, cube: xr.DataTree) -> tuple[list[Problem], list[Problem]]:
    """Return the errors of a protocol's claims, and notes on claims that cannot be decided (too few layers).

    Parameters
    ----------
    protocol
        Of the study.
    cube
        That the study will fill.
    """
    wrong: list[Problem] = []
    undecided: list[Problem] = []
    for number, claim in enumerate(protocol.claims):
        entry, options = registry("claims").get(claim.name), options_of("claims", claim)
        error: OptionError | None = _unmeasured_split(protocol, cube, options)
        error = error or _unfollowed_steps(protocol, entry, options) or entry.facts.mistake(entry, cube, options)
        if error is not None:
            path = ("claims", number, *error.location)
            own = ProtocolError(dotted(path), error.expected, error.found, error.hint)
            names_something = error.location or error.field.startswith("`")
            kind = wrong if names_something else undecided
            kind.append(Problem(path, own, at_key=error.found == repr(path[-1])))
    return wrong, undecided


def _unfollowed_steps(protocol: Protocol, entry: Entry, options: Mapping[str, Any]) -> OptionError | None:
    """Return the error of a claim that sums the steps of training, about runs whose steps are no sums of gradients."""
    if not entry.facts.follows_steps:
        return None
    from elastic.optimizers import momentum_of, summing_gradients

    where = {dim: spelled(label) for dim, label in (options.get("where") or {}).items()}
    for cell in representatives(protocol.cells):
        if any(spelled(cell.coordinates[dim]) != label for dim, label in where.items() if dim in cell.coordinates):
            continue
        optimizer = cell.settings.optimizer
        if momentum_of(optimizer.name, optimizer.options) is None:
            known = " or ".join(summing_gradients())
            expected = "be about training whose steps are sums of gradients, which it adds up"
            hint = f"`optimizer.name` {known}, or `where` with the label of such an optimizer"
            return OptionError("`claims`", expected, f"`optimizer.name` {optimizer.name!r}", hint)
    return None


def _unmeasured_split(protocol: Protocol, cube: xr.DataTree, options: Mapping[str, Any]) -> OptionError | None:
    """Return the error of a split on which no run measures collapse."""
    split = options.get("split")
    probed = [cell.settings.probes.collapse for cell in representatives(protocol.cells)]
    measured = {one for probe in probed if probe for one in probe.splits}
    if split not in ("train", "test"):
        return None
    if split == "test" and (name := _without_split(cube, options)):
        expected = f"be left out, as {name} is measured on train samples only"
        return OptionError("`split`", expected, repr(split), "split: train", location=("split",))
    if "collapse" not in cube or split in measured:
        return None
    named = [str(value).rpartition("/")[2] for value in options.values() if isinstance(value, str)]
    if not any("split" in cube["collapse"][name].dims for name in named if name in cube["collapse"].data_vars):
        return None
    hint = f"{measured.pop()!r}, or probes.collapse.splits: [train, test]"
    return OptionError("`split`", "be a split on which collapse is measured", repr(split), hint, location=("split",))


def _without_split(cube: xr.DataTree, options: Mapping[str, Any]) -> str | None:
    """Return the variable of elasticity or weights that a claim uses; None if it uses none."""
    about = {value for key in ("metric", "variable") if isinstance(value := options.get(key), str)}
    groups = [node for name, node in cube.children.items() if name not in ("collapse", "training")]
    return next((str(name) for node in groups for name in node.data_vars if name in about), None)


def _recorded(protocol: Protocol, folder: Path) -> dict[str, Layout]:
    """Return the layouts of the runs that have started, as far as they can be read."""
    layouts = {}
    for cell in representatives(protocol.cells) if (folder / RUNS).is_dir() else ():
        with suppress(ElasticError):  # resuming the run reports damaged files
            if layout := read_layout(folder / RUNS / cell.digest):
                layouts[cell.digest] = layout
    return layouts
