"""Every option of a protocol with its default, as the committed ``protocol/options.json`` tells them.

``PYTHONPATH=tests python -m support.protocol_options`` prints those of today. Whoever adds an option need not touch the
file: it holds the
options of the first release, and those of later ones once they are marked.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from elastic.protocol import Protocol
from elastic.registry import PACKAGES, registry
from elastic.releases import marks

FILE = Path(__file__).parents[1] / "protocol" / "options.json"

REQUIRED = "required"


def options_of(model: type[pydantic.BaseModel], prefix: str) -> dict[str, dict[str, Any]]:
    """Return the options of a model and of the models inside it, by dotted paths."""
    collected, marked = {}, marks(model)
    for name, field in model.model_fields.items():
        fact: dict[str, Any] = {REQUIRED: True}
        if not field.is_required():
            fact = {"default": default_of(field)}
        if name in marked:
            fact |= {"added": marked[name].version, "before": to_jsonable_python(marked[name].before)}
        collected[f"{prefix}{name}"] = fact
        for inner in models_in(field.annotation):
            collected |= options_of(inner, f"{prefix}{name}.")
    further = model.model_config.get("extra") == "allow"
    for inner in models_in(
        typing.get_type_hints(model, include_extras=True).get("__pydantic_extra__") if further else None
    ):
        collected |= options_of(inner, f"{prefix}*.")
    return collected


def default_of(field: Any) -> Any:
    default = field.get_default(call_default_factory=True)
    return to_jsonable_python(default.model_dump() if isinstance(default, pydantic.BaseModel) else default)


def models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """Yield the models that a type has anywhere in it."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def every_option() -> dict[str, dict[str, dict[str, Any]]]:
    """Return all options of today: of the sections, and of the functions that elastic itself registers."""
    collected = {"protocol": options_of(Protocol, "")}
    for kind in [kind for kind in PACKAGES if kind != "figures"]:  # protocols name no figures
        for entry in registry(kind):
            if entry.function.__module__.partition(".")[0] == "elastic":
                collected[f"{kind}/{entry.name}"] = options_of(entry.options, "")
    return collected


def text_of(options: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return options as JSON, one a line."""
    parts = []
    for name, result in sorted(options.items()):
        lines = [f"  {json.dumps(option)}: {json.dumps(fact)}" for option, fact in sorted(result.items())]
        parts.append(f" {json.dumps(name)}: {{" + ("\n" + ",\n".join(lines) + "\n " if lines else "") + "}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    print(text_of(every_option()), end="")
