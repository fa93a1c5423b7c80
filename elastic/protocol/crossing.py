"""Validation of ``together`` and ``exclude``; each error has a path, from which file, line and column are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from elastic.errors import ProtocolError
from elastic.protocol.canonical import canonical_json
from elastic.protocol.crossing_sections import Crossing, Together
from elastic.protocol.dims import MAX_CELLS, Grid
from elastic.protocol.formatting import dotted, format_value
from elastic.protocol.grid import Axes
from elastic.protocol.paths import Path
from elastic.protocol.schema import Protocol
from elastic.protocol.validation_errors import SCHEMA_HINT, Problem, explain, unknown_key
from elastic.registry import nearest


def read_grid(written: Mapping[str, Any], axes: Axes) -> tuple[Grid | None, list[Problem]]:
    """Read the grid of a protocol; return it, or None and the problems.

    Parameters
    ----------
    written
        The protocol as written.
    axes
        Its axes as written.
    """
    plain = {key: written[key] for key in Crossing.model_fields if key in written}
    try:
        crossing = Crossing.model_validate(plain)
    except pydantic.ValidationError as error:
        return None, explain(error, Protocol, plain)
    problems = repeats(axes, crossing.together)
    for name, group in crossing.together.items():
        problems += _misfits(name, group, axes, plain["together"][name])
    problems += _in_two(crossing.together, plain.get("together", {}))
    if problems:
        return None, problems
    whole = Grid(axes, crossing.together)
    if whole.places > MAX_CELLS:
        expected = f"make at most {MAX_CELLS:,} runs (they make {whole.places:,})"
        return None, [_problem(("axes",), expected, format_value(written["axes"]), SCHEMA_HINT)]
    problems = [one for i, condition in enumerate(plain.get("exclude", ())) for one in _wrong(i, condition, whole)]
    if problems:
        return None, problems
    grid = Grid(axes, crossing.together, crossing.exclude)
    problems = list(_empty(grid))
    return (None, problems) if problems else (grid, [])


def completed(grid: Grid, axes: Axes) -> dict[str, Any]:
    """Return the canonical form of ``together`` and ``exclude``, which uses the labels of complete axes.

    The order of conditions and of their keys is irrelevant: equivalent files have the same digest.
    """
    whole = Grid(axes, grid.together)
    conditions = []
    for condition in grid.exclude:
        named = {}
        for name, wanted in condition.items():
            known = whole.labels[name] if name in whole.dims else axes.labels[name]
            labels = [known[place] for place in sorted(grid.fitting(name, wanted))]
            named[name] = list(dict.fromkeys(labels))
        conditions.append(dict(sorted(named.items())))
    together = {name: group.model_dump() for name, group in sorted(grid.together.items())}
    return {"together": together, "exclude": sorted(conditions, key=canonical_json)}


def repeats(axes: Axes, together: Mapping[str, Together]) -> list[Problem]:
    """Return a problem for each axis with duplicate values or labels, allowed only for axes that vary together."""
    grouped, problems = {axis for group in together.values() for axis in group.axes}, []
    for name, axis in axes.named.items():
        for key, values in (("values", axis.values), ("labels", axis.labels)):
            if name not in grouped and len({canonical_json(one) for one in values}) < len(values):
                once = list({canonical_json(one): one for one in values}.values())
                hint = (
                    f"{key}: {format_value(once)}"
                    if values == axis.labels == axis.values
                    else "another one for each place"
                )
                problems.append(_problem(("axes", name, key), "have no duplicates", format_value(values), hint))
                break
    return problems


def _misfits(name: str, group: Together, axes: Axes, written: Any) -> Iterator[Problem]:
    path: Path = ("together", name)
    inner: Path = path if isinstance(written, list) else (*path, "axes")
    if name in axes.labels:
        yield _problem(path, "have another name than an axis", repr(name), f"{name}_together", at_key=True)
    unknown = [(i, axis) for i, axis in enumerate(group.axes) if axis not in axes.named]
    for i, axis in unknown:
        known = list(axes.named)
        hint = nearest(axis, known, fallback=f"one of {', '.join(known)}" if known else "an axis of that name")
        expected = "be an axis other than the seed" if axis == "seed" else "be an axis of the protocol"
        yield _problem((*inner, i), expected, format_value(axis), hint)
    if unknown:
        return
    lengths = {axis: len(axes.named[axis].values) for axis in group.axes}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{axis} with {length}" for axis, length in lengths.items())
        yield _problem(
            inner, "name axes with as many values each", found, "a value at every position, repeated if need be"
        )
        return
    for kind in ("values", "labels") if group.labels is None else ("values",):
        rows = list(zip(*(map(canonical_json, getattr(axes.named[axis], kind)) for axis in group.axes), strict=True))
        if len(set(rows)) < len(rows):
            again = next(i for i, row in enumerate(rows) if row in rows[:i])
            found = f"the {kind} of position {rows.index(rows[again])} at position {again} again"
            yield _problem(inner, "differ at every position", found, "each combination once (seeds are an axis)")
            return
    if group.labels is not None and len(group.labels) != len(rows):
        expected = f"have one label for each of the {len(rows)} positions"
        yield _problem((*path, "labels"), expected, format_value(group.labels), "leaving them out")


def _in_two(together: Mapping[str, Together], written: Mapping[str, Any]) -> Iterator[Problem]:
    owner: dict[str, str] = {}
    for name, group in together.items():
        for i, axis in enumerate(group.axes):
            if (other := owner.setdefault(axis, name)) != name:
                path = ("together", name, i) if isinstance(written[name], list) else ("together", name, "axes", i)
                yield _problem(
                    path, "vary together with one group of axes", f"{axis}, also in {other}", "one group of all"
                )


def _wrong(number: int, condition: Mapping[str, Any], grid: Grid) -> Iterator[Problem]:
    """Yield the problems of a condition: unknown axes and labels, or no matching cell."""
    path: Path = ("exclude", number)
    wrong = []
    for name, wanted in condition.items():
        known = grid.axes.labels | grid.labels
        if name not in known:
            wrong.append(unknown_key((*path, name), list(known), expected="be an axis of the protocol"))
            continue
        for i, label in enumerate(wanted if isinstance(wanted, list) else [wanted]):
            try:
                grid.fitting(name, label)
            except ValueError:
                place: Path = (*path, name, i) if isinstance(wanted, list) else (*path, name)
                labels = [format_value(one) if isinstance(one, bool) else str(one) for one in known[name]]
                hint = nearest(str(label), labels, fallback=f"one of {', '.join(labels[:12])}")
                wrong.append(_problem(place, f"be a label on the axis {name}", format_value(label), hint))
    yield from wrong
    if not wrong and next(grid.drops(condition), None) is None:
        yield _problem(
            path, "drop a run", f"labels that never occur together in {format_value(dict(condition))}", "leaving it out"
        )


def _empty(grid: Grid) -> Iterator[Problem]:
    """Yield a problem if conditions leave no run, or none for some label."""
    kept = list(grid.positions())
    if not kept:
        yield _problem(("exclude",), "leave a run", f"conditions that drop all {grid.places}", "fewer conditions")
        return
    for place, (dim, labels) in enumerate(grid.labels.items() if grid.exclude else ()):
        if bare := sorted(set(range(len(labels))) - {position[place] for position in kept}):
            found = f"none with {dim}={format_value(labels[bare[0]])}"
            yield _problem(("exclude",), "leave a run for every label of an axis", found, "`axes` without that value")


def _problem(path: Path, expected: str, found: str, hint: str, at_key: bool = False) -> Problem:
    return Problem(path, ProtocolError(dotted(path), expected, found, hint), at_key)
