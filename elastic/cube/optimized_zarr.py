"""Workaround for ``python -O``, which drops an assertion in which zarr-python up to 3.1.6 reads metadata of groups."""

from __future__ import annotations

from typing import Any

from zarr.core.group import GroupMetadata


def mend() -> None:
    """Let Zarr open groups where Python drops assertions; nothing is done elsewhere."""
    if __debug__:
        return
    read = GroupMetadata.from_dict.__func__  # type: ignore[attr-defined]

    def from_dict(cls: type[GroupMetadata], data: dict[str, Any]) -> GroupMetadata:
        # `assert data.pop("node_type", None) in ("group", None)`, without the assertion.
        metadata: GroupMetadata = read(cls, {key: value for key, value in data.items() if key != "node_type"})
        return metadata

    GroupMetadata.from_dict = classmethod(from_dict)  # type: ignore[method-assign, assignment]
