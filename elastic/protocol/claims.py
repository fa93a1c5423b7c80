"""Claims in a protocol: lookup in the registry, default options, and validation against the protocol's axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elastic.errors import ElasticError, ProtocolError
from elastic.protocol.citations import cite_keys
from elastic.protocol.components import complete_component
from elastic.protocol.diagnostics import first_mistake
from elastic.protocol.formatting import dotted, format_value, one_line
from elastic.protocol.later_options import Earlier, never, without_later
from elastic.protocol.paths import Path
from elastic.protocol.positions import Places
from elastic.protocol.reading import Given, read_protocol
from elastic.protocol.registered_probes import dims_of_probes
from elastic.protocol.strict import Component
from elastic.protocol.validation_errors import NOTHING, Problem, unknown_key
from elastic.registry import Entry, nearest, registry

#: Variables of the cube that are not metrics: those of the group ``training``.
OF_TRAINING = ("accuracy", "gradient_norm", "loss", "lr", "objective")

#: Variables derived from those of the cube (`elastic.analysis.derived`).
OF_ANALYSIS = ("kernel_change", "nc1_depth_slope")

#: Dims of the cube that `where` may name besides axes and dims of registered probes; their labels are known only after
#: reading the data.
OF_CUBE = ("class", "other_class", "component", "stepped_class", "observed_class")

#: Claims of one protocol.
MOST = 1_000

#: Fewest positive labels for fitting a power law: two points always lie on a line.
LEAST_NUMBERS = 3


def complete_claims(
    written: Any,
    axes: Mapping[str, list[Any]] | None,
    earlier: Earlier = never,
    along: Mapping[str, list[Any]] | None = None,
) -> tuple[list[Any], list[Problem]]:
    """Fill in the options of claims; return the claims and their problems.

    Later options with the behaviour of earlier releases are left out (`elastic.protocol.later_components`).

    Parameters
    ----------
    written
        The protocol's ``claims``.
    axes
        Labels on each axis of the protocol except the seed; None if unknown.
    earlier
        See `elastic.protocol.components.complete`.
    along
        Labels of axes that vary together with others: only `where` may name them.
    """
    if not isinstance(written, list):
        return written, []  # the schema says what is wrong
    if len(written) > MOST:
        error = ProtocolError("`claims`", f"be at most {MOST:,} claims", f"{len(written):,}", "several studies")
        return written, [Problem(("claims",), error)]
    completed: list[Any] = []
    problems: list[Problem] = []
    for number, component in enumerate(written):
        path: Path = ("claims", number)
        claim, claim_problems = complete_component(path, "claims", component, shared={"name"}, earlier=earlier)
        problems += claim_problems
        if not claim_problems and _is_claim(claim):
            entry = registry("claims").get(claim["name"])
            problems += _misfits(path, entry, claim, axes, along or {}) if axes is not None else ()
            claim = without_later(entry.options, claim)
            if claim in completed:
                problems.append(_repeated(path, completed.index(claim)))
        completed.append(claim)
    return completed, problems


#: Smallest file of claims, for hints.
CLAIMS_FILE = "a file with claims: [{name: collapse_deepens_with_depth}] (elastic list claims)"


@dataclass(frozen=True)
class ReadClaim:
    """A claim read from a file.

    Attributes
    ----------
    name
        Name of the claim, or the value given in place of it.
    component
        The complete claim; None if it is invalid.
    error
        The first error with its location; further ones are in its ``others``.
    place_of
        Returns the location of an option in the file from its path in the claim.
    """

    name: str
    component: Component | None
    error: ElasticError | None
    place_of: Callable[[Path], str]


def load_claims(path: Given) -> list[Component]:
    """Load only the claims of a protocol given by name, file or dictionary.

    Raises
    ------
    ElasticError
        For the first invalid claim, with its location; if there are no claims.
    """
    read = read_claims(path)
    for claim in read:
        if claim.error is not None:
            raise claim.error
    return [claim.component for claim in read if claim.component is not None]


def read_claims(path: Given) -> list[ReadClaim]:
    """Read the claims of a protocol file; each is complete or has an error.

    Raises
    ------
    ElasticError
        If the file cannot be read, or has no list of claims.
    """
    try:
        tree = read_protocol(path).tree
    except ProtocolError as error:
        if error.expected != "be a readable file":
            raise
        raise ProtocolError("the file of claims", error.expected, error.found, CLAIMS_FILE, place=error.place) from None
    if not isinstance(tree.data.get("claims"), list):
        hint, found = "a part `claims:` as in protocols/quickstart.yaml", format_value(tree.data.get("claims"))
        found = found if "claims" in tree.data else NOTHING
        problem = Problem(("claims",), ProtocolError(dotted(("claims",)), "be a list of claims", found, hint))
        raise first_mistake([problem], tree.places)
    completed, problems = complete_claims(tree.data["claims"], None)
    if len(completed) > MOST:
        raise first_mistake(problems, tree.places)
    problems += [_shapeless(number, claim) for number, claim in enumerate(completed) if not _is_claim(claim)]
    if tree.cut:
        raise tree.cut
    return [_read(number, claim, problems, tree.places) for number, claim in enumerate(completed)]


def _read(number: int, claim: Any, problems: list[Problem], places: Places) -> ReadClaim:
    own = [problem for problem in problems if problem.path[:2] == ("claims", number)]
    name = claim.get("name") if isinstance(claim, dict) else claim
    return ReadClaim(
        name=one_line(str(name), 80),
        component=None if own else Component.model_validate(claim),
        error=first_mistake(own, places) if own else None,
        place_of=lambda path: places.of_value(("claims", number, *path)).text,
    )


def _is_claim(claim: Any) -> bool:
    return isinstance(claim, dict) and isinstance(claim.get("name", ""), str)


def _repeated(path: Path, first: int) -> Problem:
    """Return the problem of a claim that stands twice: each would be judged more strictly for the other."""
    found = f"the claim {dotted(('claims', first))} once more, with the same options"
    return Problem(path, ProtocolError(dotted(path), "differ from the claims before it", found, "removing one of them"))


def _shapeless(number: int, claim: Any) -> Problem:
    path: Path = ("claims", number)
    return Problem(path, ProtocolError(dotted(path), "be a claim with its options", format_value(claim), "{name: …}"))


def _misfits(
    path: Path,
    entry: Entry,
    claim: Mapping[str, Any],
    axes: Mapping[str, list[Any]],
    along: Mapping[str, list[Any]],
) -> Iterator[Problem]:
    """Yield a problem for each option that names an unknown variable, axis or label."""
    for name, field in entry.options.model_fields.items():
        extra = field.json_schema_extra
        kind, value = (extra.get("names") if isinstance(extra, dict) else None), claim.get(name)
        if kind == "variable" and (problem := _no_variable((*path, name), str(value))):
            yield problem
        elif kind == "source" and value not in cite_keys():
            yield _unlike((*path, name), value, list(cite_keys()), "be a key of elastic/references.bib", "another key")
        elif kind in ("axis", "numeric_axis") and value not in axes:
            fallback = None if axes else "adding one beside the seed (elastic show axes)"
            yield _unlike((*path, name), value, list(axes), "be an axis of the protocol", fallback)
        elif kind == "numeric_axis" and sum(map(_is_positive, axes[str(value)])) < LEAST_NUMBERS:
            yield _no_numbers((*path, name), str(value), axes[str(value)])
        elif kind == "label" and (labels := axes.get(str(claim.get("axis")))):
            if not any(_same(value, known) for known in labels):
                yield _unlike((*path, name), value, labels, f"be a label on the axis {claim['axis']}")
        elif kind == "where" and isinstance(value, dict):
            yield from _no_setting((*path, name), value, {**axes, **along})


def names_of_variables() -> list[str]:
    """Return the names of all variables that claims can use, in alphabetical order."""
    return sorted([*registry("metrics").names(), *OF_TRAINING, *OF_ANALYSIS])


def _no_variable(path: Path, name: str) -> Problem | None:
    known = names_of_variables()
    if name.rpartition("/")[2] in known:
        return None
    hint = nearest(name.rpartition("/")[2], known, fallback="one of `elastic list metrics`")
    return Problem(path, ProtocolError(dotted(path), "be a variable of the cube", format_value(name), hint))


def _is_positive(label: Any) -> bool:
    return isinstance(label, int | float) and not isinstance(label, bool) and label > 0


def _no_numbers(path: Path, axis: str, labels: list[Any]) -> Problem:
    found = f"{axis} with {', '.join(_spelled(label) for label in labels)}"
    hint = "an axis of numbers without `labels`, three of them positive"
    return Problem(path, ProtocolError(dotted(path), f"have {LEAST_NUMBERS} positive numbers for labels", found, hint))


def _no_setting(path: Path, where: Mapping[str, Any], axes: Mapping[str, list[Any]]) -> Iterator[Problem]:
    for dim, label in where.items():
        if dim in axes and not any(_same(label, known) for known in axes[dim]):
            yield _unlike((*path, dim), label, axes[dim], f"be a label on the axis {dim}")
        elif dim not in axes and dim not in OF_CUBE and dim not in (further := dims_of_probes()):
            known = list(dict.fromkeys([*axes, *OF_CUBE]))
            # The dim of a disabled probe is suggested only if it resembles the name given.
            if nearest(dim, sorted(further), fallback="") and not nearest(dim, known, fallback=""):
                known += sorted(further)
            yield unknown_key((*path, dim), known, expected="be an axis of the protocol or a dim of the cube")


def _same(label: Any, known: Any) -> bool:
    return bool(label == known) or _spelled(label) == _spelled(known)


def _spelled(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _unlike(path: Path, value: Any, known: list[Any], expected: str, fallback: str | None = None) -> Problem:
    names = [str(label) for label in known]
    hint = nearest(str(value), names, fallback=fallback or f"one of {', '.join(names)}")
    return Problem(path, ProtocolError(dotted(path), expected, format_value(value), hint))
