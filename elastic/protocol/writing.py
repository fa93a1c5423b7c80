"""Plain data as the text of a protocol file."""

from __future__ import annotations

import io
import json
from typing import Any

from ruamel.yaml import YAML

from elastic.errors import ProtocolError
from elastic.protocol.places import Place
from elastic.protocol.tree import read_tree


def as_yaml(data: dict[str, Any]) -> str:
    """Return YAML that reads as the data: blocks, but for what has no further parts in its parts.

    >>> print(as_yaml({"name": "a", "model": {"name": "mlp", "widths": [8, 8]}, "axes": {"seed": [0, 1]}}), end="")
    name: a
    model:
      name: mlp
      widths: [8, 8]
    axes:
      seed: [0, 1]
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.width = 110
    yaml.allow_unicode = True
    yaml.representer.ignore_aliases = lambda *_: True
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue() if _reads_as(stream.getvalue(), data) else json.dumps(data, indent=1) + "\n"  # also YAML


def _reads_as(text: str, data: dict[str, Any]) -> bool:
    try:
        tree = read_tree(text, lambda line, column: Place(0, line, column, ""))
    except ProtocolError:
        return False
    return tree is not None and json.dumps(tree.data) == json.dumps(data)
