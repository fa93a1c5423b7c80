"""Validation and completion of one section of a protocol in every cell of the grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pydantic

from elastic.errors import ElasticError, ProtocolError
from elastic.protocol.canonical import canonical_json
from elastic.protocol.components import complete, refusal, spell_out
from elastic.protocol.formatting import dotted
from elastic.protocol.grid import Axis, Scalar, axes_of, set_axes
from elastic.protocol.later_options import Earlier, never, with_earlier
from elastic.protocol.paths import Path, get, put
from elastic.protocol.registered_probes import complete_probes
from elastic.protocol.schema_paths import schema_at
from elastic.protocol.sections import COMPONENTS, Sections
from elastic.protocol.validation_errors import NOTHING, Problem, explain

#: Number of errors in the values of axes after which validation stops.
ENOUGH = 100

#: Position on each axis, by its name.
Position = Mapping[str, int]


def read_section(
    section: str, written: dict[str, Any], allow: tuple[str, ...], earlier: Earlier = never
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Complete one section; return ``{section: …}``, or None and the problems.

    Parameters
    ----------
    section
        One of `Sections`.
    written
        ``{section: …}``, or empty if the protocol lacks it.
    allow
        Modules that the command line allows.
    earlier
        See `elastic.protocol.components.complete`.
    """
    completed, problems = complete(section, written, earlier)
    if section == "probes":
        completed, problems_here = complete_probes(completed, earlier)
        problems += problems_here
    if section not in completed:
        hint = f"a part `{section}:` as in protocols/quickstart.yaml"
        return None, [Problem((section,), ProtocolError(dotted((section,)), "be given", NOTHING, hint))]
    if refused := refusal(completed, allow):
        problems.append(refused)
    model, _ = schema_at(Sections, (section,))
    assert model is not None, "every section has a model"
    if isinstance(completed[section], dict):
        completed = {section: with_earlier(model, completed[section], earlier)}
    try:
        read = model.model_validate(completed[section])
    except pydantic.ValidationError as error:
        known = {problem.path for problem in problems}
        problems_here = explain(error, model, completed[section], around=(section,))
        return None, problems + [problem for problem in problems_here if problem.path not in known]
    return None if problems else {section: read.model_dump()}, problems


@dataclass
class SectionVariants:
    """A section, and the axes that set it or parts of it.

    Attributes
    ----------
    section, written, allow, earlier
        See `read_section`.
    axes
        Axes that set the section or parts of it, as written.
    occurring
        Positions on these axes that occur in a cell; the first cell's come first.
    problems
        Distinct problems found by `check`.
    """

    section: str
    written: dict[str, Any]
    axes: Mapping[str, Axis]
    allow: tuple[str, ...]
    earlier: Earlier = never
    occurring: Sequence[tuple[int, ...]] = ((),)
    problems: dict[tuple[Path, str], Problem] = field(default_factory=dict)

    def check(self) -> tuple[dict[str, Any], dict[str, Axis]]:
        """Read the section in all cells; return that of the first, and the axes with complete values.

        Both are empty if there are ``problems``.
        """
        first = dict(zip(self.axes, self.occurring[0], strict=True))
        alone = {name: self._read_along(name, first) for name in self.axes}
        section = self._read(first)
        if self.problems or section is None:
            return {}, {}
        axes = {name: self._complete(name, axis, alone[name]) for name, axis in self.axes.items()}
        # Values of a single axis are valid on their own; those of several axes may depend on each other.
        for at in self._positions() if len(axes) > 1 and not self.problems else ():
            self._compare(section, axes, at)
        return (section, axes) if not self.problems else ({}, {})

    def _read_along(self, name: str, first: dict[str, int]) -> list[dict[str, Any] | None]:
        """Return the section at each position of one axis; stops after several errors."""
        read = []
        for position in range(len(self.axes[name].values)):
            read.append(self._read(self._nearest(first, name, position)))
            if len(self.problems) > ENOUGH:
                break
        return read

    def _nearest(self, first: Position, name: str, position: int) -> Position:
        """Return the first cell's position with one axis changed, or any cell's if no cell has that position."""
        wanted = {**first, name: position}
        if tuple(wanted.values()) in self._occurring:
            return wanted
        return next(at for at in self._positions() if at[name] == position)

    @cached_property
    def _occurring(self) -> frozenset[tuple[int, ...]]:
        return frozenset(self.occurring)

    def _positions(self) -> Iterator[Position]:
        for at in self.occurring:
            yield dict(zip(self.axes, at, strict=True))

    def _read(self, at: Position) -> dict[str, Any] | None:
        """Return the section with every axis set to its value at a position."""
        written = self.written
        for name, axis in axes_of(self.section, self.axes).items():
            try:
                written = put(spell_out(written, axis.parts), axis.parts, axis.values[at[name]])
            except ProtocolError as error:
                self._report(("axes", name, "path"), error)
                return None
        read, problems = read_section(self.section, written, self.allow, self.earlier)
        for problem in problems:
            self._report(self._cause(problem, at), problem.error, problem.at_key)
        return read

    def _complete(self, name: str, axis: Axis, variants: list[dict[str, Any] | None]) -> Axis:
        """Return the axis with the values at its path after filling in all defaults."""
        path = axis.parts
        if path[-1] == "name" and path[:-1] in COMPONENTS:
            path = path[:-1]  # with the name the options change, too
        try:
            values = [get(variant, path) for variant in variants]
        except KeyError:
            error = ProtocolError(
                dotted(("axes", name, "path")), "lead to a part of the protocol", repr(axis.path), "another"
            )
            self._report(("axes", name, "path"), error)
            return axis
        named_by_values = axis.labels == axis.values
        labels = [
            value if named_by_values and isinstance(value, Scalar) else label
            for value, label in zip(values, axis.labels, strict=True)
        ]
        return Axis.model_construct(path=".".join(map(str, path)), values=values, labels=labels)

    def _compare(self, section: dict[str, Any], axes: Mapping[str, Axis], at: Position) -> None:
        """Compare the section as written at a position with the first one modified by the complete axes."""
        read = self._read(at)
        if read is not None and canonical_json(read) != canonical_json(set_axes(section, axes, at)):
            last = list(axes)[-1]
            expected = f"mean the same for every value of {', '.join(name for name in axes if name != last)}"
            error = ProtocolError(dotted(("axes", last)), expected, "a value that does not", "one axis for both")
            self._report(("axes", last), error)

    def _cause(self, problem: Problem, at: Position) -> Path:
        """Return the path of the cause of a problem: a value of an axis, or the protocol without axes."""
        path = tuple(map(str, problem.path))
        setting = axes_of(self.section, self.axes)
        for name, axis in reversed(setting.items()):
            if path[: len(axis.parts)] == axis.parts:
                return ("axes", name, "values", at[name], *problem.path[len(axis.parts) :])
        if not setting or (problem.path, str(problem.error)) in self._without_axes:
            return problem.path
        nearest = max(setting, key=lambda name: _shared(path, setting[name].parts))
        return ("axes", nearest, "values", at[nearest])

    @cached_property
    def _without_axes(self) -> set[tuple[Path, str]]:
        problems = read_section(self.section, self.written, self.allow, self.earlier)[1]
        return {(problem.path, str(problem.error)) for problem in problems}

    def _report(self, path: Path, error: ElasticError, at_key: bool = False) -> None:
        self.problems.setdefault((path, str(error)), Problem(path, error, at_key))


def _shared(one: Path, other: Path) -> int:
    """Return the length of the common prefix of two paths."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
