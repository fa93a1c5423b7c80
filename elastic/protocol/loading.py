"""Loading a `Protocol`: reading the file, applying ``--set``, validating every cell, filling in defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic

from elastic.errors import OptionError, ProtocolError
from elastic.protocol.citations import unknown_citations
from elastic.protocol.claims import complete_claims
from elastic.protocol.components import spell_out
from elastic.protocol.crossing import completed, read_grid, repeats
from elastic.protocol.crossing_sections import Crossing
from elastic.protocol.diagnostics import first_mistake
from elastic.protocol.dims import Grid
from elastic.protocol.extending import refuse_settings
from elastic.protocol.formatting import dotted, format_value
from elastic.protocol.grid import Axes, Reserved, axes_of
from elastic.protocol.header import Header
from elastic.protocol.later_components import leave_out, unknown_to
from elastic.protocol.later_options import Earlier, never, with_earlier
from elastic.protocol.paths import Path, actual, put
from elastic.protocol.reading import Given, read_protocol
from elastic.protocol.registered_probes import names_of_probes, with_unseen_probe
from elastic.protocol.schema import Protocol
from elastic.protocol.sections import Sections
from elastic.protocol.text import read_setting
from elastic.protocol.validation_errors import NOTHING, Problem, explain, unknown_key
from elastic.protocol.variants import SectionVariants
from elastic.protocol.yaml_tree import Tree
from elastic.registry import registry, same_name, shorten

SECTIONS = tuple(Sections.model_fields)


def load_protocol(
    given: Given,
    *,
    settings: Sequence[str] = (),
    allow: Sequence[str] = (),
    begun: Mapping[str, Any] | Earlier | None = None,
) -> Protocol:
    """Load a protocol, fill in every default and validate every cell.

    Parameters
    ----------
    given
        The name of a shipped protocol ("quickstart"), the path of a YAML file, or a dictionary with the contents of a
        file. A string without a path separator and without ``.yaml`` is a name, unless the working directory has a file
        of that name; a warning names other files that it could mean.
    settings
        ``path=value`` strings that override values of the file, like ``--set`` on the command line.
    allow
        Modules from which a model may be imported; a protocol cannot allow modules itself.
    begun
        The canonical protocol of a study to resume. Options that a later release added, and that neither the study nor
        the file names, keep the behaviour of earlier releases. Or a function that decides this for each option
        (`elastic.protocol.earlier_defaults`).

    Raises
    ------
    ElasticError
        For the first error in reading order, with its location: ProtocolError, UnknownName (an unregistered component)
        or NotAllowed (a model by import path). Nothing else is raised, and nothing is written.

    Examples
    --------
    >>> load_protocol({"extends": "quickstart", "name": "short", "training": {"epochs": 5}}).training.batch_size
    64
    """
    read = read_protocol(given)
    tree = read.tree
    for number, setting in enumerate(settings, 1):
        tree = _set(tree, setting, number)
    earlier = never if begun is None else begun if callable(begun) else unknown_to(begun)
    protocol, problems = _read(tree.data, tuple(allow), earlier)
    if problems or protocol is None:
        raise first_mistake(problems, tree.places)
    if tree.cut:
        raise tree.cut
    protocol._text = protocol.text if settings else read.text
    vars(protocol).update(beside=read.folder, places=tree.places)
    return protocol


def loaded_with(protocol: Protocol | Given, settings: Sequence[str], allow: Sequence[str]) -> Protocol:
    """Return a protocol, loading it if necessary; a loaded protocol takes no settings.

    Raises
    ------
    ElasticError
        See `load_protocol`.
    """
    if not isinstance(protocol, Protocol):
        return load_protocol(protocol, settings=settings, allow=allow)
    if settings:
        hint = "load_protocol(…, settings=[…])"
        raise OptionError("`settings`", "be given where the protocol is loaded", "a loaded protocol", hint)
    return protocol


def _set(tree: Tree, setting: str, number: int) -> Tree:
    """Apply one ``--set`` to the tree."""
    path, value = read_setting(setting, number)
    refuse_settings(path, value.places.root)
    try:
        data = put(spell_out(tree.data, path), path, value.data)
    except ProtocolError as error:
        raise error.at(value.places.root.text) from None
    tree.places.replace(actual(data, path), value.places.root)
    return Tree(data, tree.places, tree.cut)


def _read(written: dict[str, Any], allow: tuple[str, ...], earlier: Earlier) -> tuple[Protocol | None, list[Problem]]:
    """Build the complete protocol from plain data, or return None and all problems."""
    written = with_unseen_probe(written)
    axes, problems = _read_axes(written)
    grid, problems_here = read_grid(written, axes) if axes else (None, [])
    problems += problems_here
    problems += [problem for name in (grid.together if grid else ()) if (problem := _clash(name, "together"))]
    header, problems_here = _read_header(written, grid, earlier)
    problems += problems_here
    complete_axes: dict[str, Any] = {"seed": axes.seed} if axes else {}
    sections: dict[str, Any] = {}
    for section in SECTIONS:
        if grid is None and section in _sections_of_axes(written):
            continue  # an axis may set what the section lacks
        own = axes_of(section, grid.axes.named) if grid else {}
        occurring = grid.occurring(list(own)) if grid else [()]
        plain = {k: v for k, v in written.items() if k == section}
        variants = SectionVariants(section, plain, own, allow, earlier, occurring)
        first, changed = variants.check()
        problems += variants.problems.values()
        if first:
            first, changed = leave_out(first, changed)
        sections |= first
        complete_axes |= {name: axis.model_dump() for name, axis in changed.items()}
    if problems or grid is None:
        return None, problems
    whole = {**header, **sections, "axes": complete_axes}
    try:
        whole_axes = Axes.model_validate(complete_axes)
        if problems_here := repeats(whole_axes, grid.together):
            return None, problems_here
        whole |= completed(grid, whole_axes)
        return Protocol.model_validate(whole), []
    except pydantic.ValidationError as error:
        around: Path = ("axes",) if error.title == Axes.__name__ else ()
        return None, explain(error, Axes if around else Protocol, complete_axes if around else whole, around)


def _read_header(written: dict[str, Any], grid: Grid | None, earlier: Earlier) -> tuple[dict[str, Any], list[Problem]]:
    """Read everything except sections and axes; return it and its problems, including unknown keys."""
    others = {*SECTIONS, "axes", *Crossing.model_fields}
    plain = {key: value for key, value in written.items() if key not in others}
    cites = plain.get("cites")
    problems = unknown_citations(cites) if isinstance(cites, list) else []
    if "claims" in plain:
        plain["claims"], claim_problems = complete_claims(plain["claims"], _labels(grid), earlier, _along(grid))
        problems += claim_problems
    known = {problem.path for problem in problems}
    plain = with_earlier(Header, plain, earlier)
    try:
        return Header.model_validate(plain).model_dump(), problems
    except pydantic.ValidationError as error:
        return {}, problems + [problem for problem in explain(error, Protocol, plain) if problem.path not in known]


def _read_axes(written: dict[str, Any]) -> tuple[Axes | None, list[Problem]]:
    """Read the axes as written; return them, or None and the problems."""
    plain = written.get("axes", {})
    try:
        axes = Axes.model_validate(plain)
    except pydantic.ValidationError as error:
        return None, list(_of_axes(explain(error, Axes, plain, around=("axes",)), plain))
    problems = [
        unknown_key(("axes", name, "left_out"), ["path", "values", "labels"])
        for name in _telling_what_is_left_out(plain)
    ]
    return axes, problems + [problem for name in axes.named if (problem := _clash(name))]


def _of_axes(problems: list[Problem], axes: Any) -> Iterator[Problem]:
    """Yield problems of axes; missing labels count only if the values are valid and need them."""
    of_values = {problem.path[1] for problem in problems if len(problem.path) > 2 and problem.path[2] != "labels"}
    for problem in problems:
        is_of_labels = problem.path[2:] == ("labels",) and problem.is_absence
        if is_of_labels and problem.path[1] in of_values:
            continue
        if is_of_labels:
            expected = "be given where values are lists or mappings, one a value"
            hint = "labels: [small, large]"
            yield Problem(problem.path, ProtocolError(dotted(problem.path), expected, NOTHING, hint))
        else:
            yield _no_axis(problem, axes) or problem


def _no_axis(problem: Problem, axes: Any) -> Problem | None:
    """Return the problem of an axis that is not a mapping, such as a list of values; None for other problems."""
    key = problem.path[-1]
    if len(problem.path) != 2 or problem.at_key or key == "seed" or isinstance(value := axes[key], dict):
        return None
    values = json.dumps(value if isinstance(value, list) else [value], ensure_ascii=False)
    hint = f"seed: {values}" if same_name(str(key), ["seed"]) else f"{key}: {{path: optimizer.lr, values: {values}}}"
    expected = "be a mapping that says which part of the protocol takes which values"
    return Problem(
        problem.path, ProtocolError(dotted(problem.path), expected, format_value(value), shorten(hint)[1:-1])
    )


def _telling_what_is_left_out(axes: dict[str, Any]) -> list[str]:
    """Return the axes that list the values left out by cells, which only canonical protocols may do."""
    return [name for name, axis in axes.items() if isinstance(axis, dict) and "left_out" in axis]


def _labels(grid: Grid | None) -> dict[str, list[Any]] | None:
    """Return the labels on each dim except the seed: claims are about means over seeds."""
    return {name: labels for name, labels in grid.labels.items() if name != "seed"} if grid else None


def _along(grid: Grid | None) -> dict[str, list[Any]]:
    """Return the labels of axes that vary together, which `where` accepts, too."""
    return {name: labels for name, (_, labels) in grid.along.items()} if grid else {}


def _clash(name: str, key: str = "axes") -> Problem | None:
    """Return the problem of an axis or dim of `together` with the name of a metric, or of a probe's group or dim."""
    path = (key, name)
    if name in names_of_probes():
        clash = Reserved(name)
        return Problem(path, ProtocolError(dotted(path), str(clash), repr(name), clash.hint), at_key=True)
    if name in registry("metrics").names():
        expected = "have another name than a variable of the cube"
        return Problem(path, ProtocolError(dotted(path), expected, repr(name), f"{name}_axis"), at_key=True)
    return None


def _sections_of_axes(written: dict[str, Any]) -> set[str]:
    """Return the sections that axes set, also for invalid axes."""
    axes = written.get("axes")
    values = axes.values() if isinstance(axes, dict) else ()
    return {str(axis.get("path")).partition(".")[0] for axis in values if isinstance(axis, dict)}
