"""The pydantic model, and the field, at a path of a protocol."""

from __future__ import annotations

import typing
from functools import lru_cache
from typing import Any

import pydantic
from pydantic.fields import FieldInfo

from elastic.protocol.paths import Path


@lru_cache(maxsize=1024)  # reading annotations is slow, and a large grid asks the same again and again
def schema_at(
    model: type[pydantic.BaseModel] | None, path: Path
) -> tuple[type[pydantic.BaseModel] | None, FieldInfo | None]:
    """Return the model of the value at a path, if any, and the innermost field on the path."""
    field = None
    for part in path:
        if model is None:  # among options, or in a list of values
            break
        if isinstance(part, int):  # in a list of models
            continue
        field = model.model_fields.get(str(part))
        model = _model_in(field.annotation if field else typing.get_type_hints(model).get("__pydantic_extra__"))
    return model, field


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Return the model in an annotation, also inside a union (``Probe | None``)."""
    candidates = (annotation, *typing.get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, pydantic.BaseModel)), None)
