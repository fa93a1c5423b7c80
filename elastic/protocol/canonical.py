"""The canonical form of plain data: equivalent data have the same text and the same digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from elastic.protocol.formatting import format_value

_NOTHING = object()


def plain(value: Any) -> Any:
    """Convert a value to what a JSON round trip returns: tuples become lists, -0.0 becomes 0.0.

    >>> plain({"betas": (0.9, -0.0)})
    {'betas': [0.9, 0.0]}
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value + 0.0  # -0.0 + 0.0 is 0.0
    return value


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text: sorted keys, no white space, floats as Python's shortest repr.

    >>> canonical_json({"lr": 1e-3, "epochs": 5})
    '{"epochs":5,"lr":0.001}'
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON, as 64 hexadecimal digits.

    >>> digest({"a": 1, "b": [0.0]}) == digest({"b": (-0.0,), "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def explain_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line for each dotted path at which two canonical protocols differ.

    >>> explain_difference({"training": {"epochs": 200}, "cites": []}, {"training": {"epochs": 5}, "cites": []})
    ['training.epochs: 200 → 5']
    >>> explain_difference({"data": {}}, {"data": {"per_class": 100}})
    ['data.per_class: nothing → 100']
    """
    return [f"{path}: {_shown(before)} → {_shown(after)}" for path, before, after in _differences("", old, new)]


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(f"{path}.{key}" if path else key, old.get(key, _NOTHING), new.get(key, _NOTHING))
    elif old is _NOTHING or new is _NOTHING or canonical_json(old) != canonical_json(new):
        yield path, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else format_value(value)
