"""Types and validators of single values in a protocol."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from elastic.protocol.canonical import canonical_json

Positive = Annotated[float, Field(gt=0, le=1e30)]
Count = Annotated[int, Field(ge=1)]


class Unfit(ValueError):
    """Error of a validator with a hint."""

    def __init__(self, expected: str, hint: str) -> None:
        super().__init__(expected)
        self.hint = hint


def without_repeats(values: list[Any]) -> list[Any]:
    """Validate that all values differ.

    Raises
    ------
    ValueError
        If two of them have one canonical form.
    """
    if len({canonical_json(value) for value in values}) < len(values):
        raise ValueError("have no duplicates")
    return values


def disjoint(groups: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Validate that groups are disjoint and sort them by name (the order of keys is irrelevant).

    Raises
    ------
    ValueError
        If a member occurs twice.
    """
    without_repeats([member for group in groups.values() for member in group])
    return dict(sorted(groups.items()))
