"""Writing plain data as a protocol file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pydantic
from ruamel.yaml import YAML

from elastic.errors import ProtocolError
from elastic.protocol.positions import Place
from elastic.protocol.yaml_tree import read_tree


def as_yaml(data: dict[str, Any]) -> str:
    """Return plain data as YAML, in block style except for the innermost collections.

    >>> print(as_yaml({"name": "a", "model": {"name": "mlp", "widths": [8, 8]}, "axes": {"seed": [0, 1]}}), end="")
    name: a
    model:
      name: mlp
      widths: [8, 8]
    axes:
      seed: [0, 1]
    """
    text = _dumped(data, flow=None)
    return text if _reads_as(text, data) else json.dumps(data, indent=1) + "\n"  # also YAML


def spelled(value: Any) -> str:
    """Return a value as YAML on one line.

    >>> spelled({"name": "mlp", "widths": (8, 8)}), spelled(None), spelled(1e-3), spelled("1e-3")
    ('{name: mlp, widths: [8, 8]}', 'null', '0.001', "'1e-3'")
    """
    return _dumped(_plain(value), flow=True, width=100_000).removesuffix("\n").removesuffix("\n...").strip()


def _dumped(data: Any, *, flow: bool | None, width: int = 110) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.width = width
    yaml.allow_unicode = True
    yaml.representer.ignore_aliases = lambda *_: True
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    """Convert pydantic models to mappings and tuples to lists."""
    if isinstance(value, pydantic.BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _reads_as(text: str, data: dict[str, Any]) -> bool:
    try:
        tree = read_tree(text, lambda line, column: Place(0, line, column, ""))
    except ProtocolError:
        return False
    return tree is not None and json.dumps(tree.data) == json.dumps(data)
