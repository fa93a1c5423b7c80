"""Options marked with `elastic.releases.Added`: removed from canonical forms, and filled in again.

Data are traversed along the annotations of a pydantic model: its fields, and models in them, in lists and in mappings.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any

import pydantic

from elastic.protocol.canonical import canonical_json, plain
from elastic.releases import Added, marks

Model = type[pydantic.BaseModel]

#: Decides for a later option of a model, by name, whether a file without it keeps the behaviour of earlier releases.
Earlier = Callable[[Model, str], bool]

#: Modifies the keys of the data of one model.
Step = Callable[[Model, dict[str, Any]], dict[str, Any]]


def never(owner: Model, name: str) -> bool:
    """Return False: options that a file does not name have their defaults."""
    return False


def always(owner: Model, name: str) -> bool:
    """Return True: missing options keep the behaviour of earlier releases, as in a canonical form."""
    return True


def without_later(model: Model, data: Mapping[str, Any], *, in_axis: bool = False) -> dict[str, Any]:
    """Remove later options with the behaviour of earlier releases from the data of a model.

    Parameters
    ----------
    model
        Model of the data.
    data
        Plain data; missing keys stay missing.
    in_axis
        Whether the data are a value of an axis.

    Examples
    --------
    >>> class Model(pydantic.BaseModel):
    ...     width: int
    ...     dropout: typing.Annotated[float, Added("0.9.0", before=0.0)] = 0.0
    >>> without_later(Model, {"width": 8, "dropout": 0.0}), without_later(Model, {"width": 8, "dropout": 0.5})
    ({'width': 8}, {'width': 8, 'dropout': 0.5})
    """

    def leave_out(owner: Model, inner: dict[str, Any]) -> dict[str, Any]:
        marked = {name: mark for name, mark in marks(owner).items() if not (in_axis and mark.in_axes)}
        return {k: value for k, value in inner.items() if k not in marked or not is_before(value, marked[k])}

    return _walk(model, data, _unchanged, leave_out)


def with_earlier(model: Model, data: Mapping[str, Any], earlier: Earlier = always) -> dict[str, Any]:
    """Fill in missing later options with the behaviour of earlier releases.

    Parameters
    ----------
    model
        Model of the data.
    data
        Plain data.
    earlier
        Decides whether an option is filled in.

    Examples
    --------
    >>> class Training(pydantic.BaseModel):
    ...     epochs: int
    ...     threads: typing.Annotated[int | None, Added("0.9.0", before=None)] = 1
    >>> with_earlier(Training, {"epochs": 5}), with_earlier(Training, {"epochs": 5, "threads": 2})
    ({'epochs': 5, 'threads': None}, {'epochs': 5, 'threads': 2})
    """

    def fill_in(owner: Model, inner: dict[str, Any]) -> dict[str, Any]:
        missing = {k: plain(mark.before) for k, mark in marks(owner).items() if k not in inner and earlier(owner, k)}
        return inner | missing

    return _walk(model, data, fill_in, _unchanged)


def named_options(model: Model, data: Mapping[str, Any]) -> set[tuple[Model, str]]:
    """Return the later options that the data of a model name, as pairs of model and name."""
    options: set[tuple[Model, str]] = set()

    def note(owner: Model, inner: dict[str, Any]) -> dict[str, Any]:
        options.update((owner, name) for name in marks(owner) if name in inner)
        return inner

    _walk(model, data, note, _unchanged)
    return options


def is_before(value: Any, mark: Added) -> bool:
    """Return whether the value of an option equals the behaviour of earlier releases.

    >>> is_before(0.0, Added("0.9.0", before=0)), is_before(False, Added("0.9.0", before=0))
    (True, False)
    """
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (value, mark.before))
    return bool(value == mark.before) if numbers else canonical_json(value) == canonical_json(mark.before)


def _unchanged(owner: Model, inner: dict[str, Any]) -> dict[str, Any]:
    return inner


def _walk(model: Model, data: Mapping[str, Any], first: Step, last: Step) -> dict[str, Any]:
    """Apply two functions to each mapping of a model: one before its contents, one after."""
    if not _has_marks(model):
        return dict(data)
    fields, further = _shapes(model)
    owned = first(model, dict(data))
    return last(model, {k: _walk_in(fields.get(k, further), value, first, last) for k, value in owned.items()})


def _walk_in(shape: _Shape, value: Any, first: Step, last: Step) -> Any:
    """Apply both functions inside a value of a known shape."""
    if isinstance(value, Mapping):
        fitting = [model for model in shape.models if _is_of(model, value)]
        if fitting:
            return _walk(fitting[0], value, first, last)
        return (
            {key: _walk_in(shape.values, item, first, last) for key, item in value.items()} if shape.values else value
        )
    if isinstance(value, list | tuple) and shape.items:
        return [_walk_in(shape.items, item, first, last) for item in value]
    return value


def _is_of(model: Model, value: Mapping[str, Any]) -> bool:
    """Return whether a model takes all keys of a mapping."""
    return model.model_config.get("extra") == "allow" or value.keys() <= model.model_fields.keys()


@dataclass(frozen=True)
class _Shape:
    """Location of models in the values of a type: the value itself, items of a list, values of a mapping."""

    models: tuple[Model, ...] = ()
    items: _Shape | None = None
    values: _Shape | None = None


def _shape(annotation: Any) -> _Shape:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _shape(arguments[0])
    if origin in (typing.Union, UnionType):
        parts = [_shape(argument) for argument in arguments]
        models = tuple(model for part in parts for model in part.models)
        items, values = ([part for part in (getattr(s, k) for s in parts) if part] for k in ("items", "values"))
        return _Shape(models, *(found[0] if found else None for found in (items, values)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _Shape(values=_shape(arguments[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _Shape(items=_shape(arguments[0]))
    is_model = isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    return _Shape((annotation,)) if is_model else _Shape()


@cache
def _shapes(model: Model) -> tuple[dict[str, _Shape], _Shape]:
    """Return the shapes of a model's fields by name, and that of its further keys."""
    fields = {name: _shape(field.annotation) for name, field in model.model_fields.items()}
    if not any("__pydantic_extra__" in vars(base).get("__annotations__", {}) for base in model.__mro__[:-2]):
        return fields, _Shape()
    return fields, _shape(
        typing.get_type_hints(model, include_extras=True).get("__pydantic_extra__")
    ).values or _Shape()


@cache
def _has_marks(model: Model) -> bool:
    """Return whether the data of a model may contain marked options; others are not traversed."""
    seen: set[Model] = set()
    ahead = [model]
    while ahead:
        if (known := ahead.pop()) in seen:
            continue
        if marks(known):
            return True
        seen.add(known)
        fields, further = _shapes(known)
        ahead += [inner for shape in (*fields.values(), further) for inner in _models_in(shape)]
    return False


def _models_in(shape: _Shape | None) -> tuple[Model, ...]:
    return (*shape.models, *_models_in(shape.items), *_models_in(shape.values)) if shape else ()
