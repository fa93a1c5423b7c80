"""The option of a claim that an error is about: it names something that the study does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import xarray as xr

from elastic.analysis.reading import select
from elastic.errors import ElasticError, NotMeasured
from elastic.registry import Entry

#: What an option names (`elastic.claims.option_types`), by the dim in an error.
OF_DIM: Mapping[str, tuple[str, ...]] = {
    "epoch": ("epoch",),
    "split": ("split",),
    "layer": ("layer", "layers"),
    "layers": ("layers",),
    "classes": ("classes",),
}


def named_by(entry: Entry, option: str) -> str:
    """Return what an option of a claim names: "variable", "layer", …; "" if it names nothing of the study."""
    extra = entry.options.model_fields[option].json_schema_extra
    return str(extra.get("names", "")) if isinstance(extra, dict) else ""


def option_at_fault(entry: Entry, options: Mapping[str, Any], error: ElasticError) -> tuple[str | int, ...]:
    """Return the path of the option that an error is about, () if it is about the claim as a whole.

    Parameters
    ----------
    entry
        The claim's.
    options
        All options of the claim.
    error
        Of its evidence: the field is an option, a dim, or the name of a variable or axis.

    Examples
    --------
    >>> from elastic.registry import registry
    >>> entry = registry("claims").get("collapse_deepens_with_training")
    >>> options = entry.complete({"since": 7, "where": {"decay": 3}})
    >>> def fault(field, found="7"):
    ...     return option_at_fault(entry, options, ElasticError(field, "be there", found, "another"))
    >>> fault("`epoch`"), fault("`where.decay`"), fault("`nc1`"), fault("the study")
    (('since',), ('where', 'decay'), ('metric',), ())
    """
    field = error.field.strip("`")
    if field == "the study" and options.get("layers") is not None:
        return ("layers",)  # too few
    if path := _found_in(error, _of_kinds(entry, options, OF_DIM.get(field, ()))):
        return path
    head, *rest = field.split(".")
    if head in options:
        return (head, *rest) if isinstance(options[head], dict) else (head,)
    named = [(name,) for name, value in _of_kinds(entry, options, ("variable",)) if value == field]
    return named[0] if named else _found_in(error, _of_kinds(entry, options, ("label", "axis", "numeric_axis")))


def _found_in(error: ElasticError, named: Iterable[tuple[str, Any]]) -> tuple[str | int, ...]:
    """Return the path of the first option, or item of one, whose value an error has found; () if there is none."""
    for name, value in named:
        if error.found in _spellings(value):
            return (name,)
        if isinstance(value, list):
            places = [place for place, one in enumerate(value) if error.found in _spellings(one)]
            if places:
                return (name, places[0])
    return ()


def in_words_of_claims(error: ElasticError, at: tuple[str | int, ...] = ("epoch",)) -> str:
    """Return what a part of a claim should be, in terms of its options.

    Parameters
    ----------
    error
        Of its evidence.
    at
        Path of the option, () for the claim as a whole: a variable that no option names is one of its own.

    Examples
    --------
    >>> in_words_of_claims(ElasticError("`epoch`", "be one that the cube has for nc1", "7", "6"))
    'be a recorded epoch of nc1'
    >>> in_words_of_claims(ElasticError("`class_steps/mean_gram`", "be a variable of the cube", "…", "…"), ())
    'be about what the study measures'
    """
    if not at and error.expected == "be a variable of the cube":
        return "be about what the study measures"
    what = {"`epoch`": "a recorded epoch of", "`split`": "a split of"}.get(error.field, "one that the cube has for")
    return error.expected.replace("one that the cube has for", what)


def check_labels(entry: Entry, cube: xr.DataTree, options: Mapping[str, Any]) -> None:
    """Refuse an epoch, split or layer that no variable of a cube has, even if the claim does not use the option.

    Raises
    ------
    NotMeasured
        For the first one.
    """
    for dim in ("epoch", "split", "layer"):
        along = [child.dataset[dim] for child in cube.children.values() if child.sizes.get(dim)]
        for _, value in _of_kinds(entry, options, OF_DIM[dim]):
            for label in value if isinstance(value, list) else [value]:
                _check_label(along, dim, label)


def _check_label(along: Sequence[xr.DataArray], dim: str, label: Any) -> None:
    errors = []
    for labels in along:
        try:
            select(labels, dim, label)
        except NotMeasured as error:
            errors.append(error)
        else:
            return
    if errors:
        raise errors[0]


def _of_kinds(entry: Entry, options: Mapping[str, Any], kinds: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield name and value of the options that name something of these kinds."""
    for name in entry.options.model_fields:
        if named_by(entry, name) in kinds and options.get(name) is not None:
            yield name, options[name]


def _spellings(value: Any) -> tuple[str, ...]:
    """Return the possible spellings in errors of a value."""
    return repr(value), str(value), repr(str(value))
