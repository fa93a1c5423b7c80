"""What all sections of a protocol are: strict models, some of which name a registered function."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import ConfigDict, Field, JsonValue

from elastic.protocol.canonical import plain
from elastic.protocol.later_options import without_later

#: Pydantic context for serialising sections for digests.
CANONICAL = "canonical"


class Strict(pydantic.BaseModel):
    """Base class of all sections: no unknown keys, no type conversions, finite numbers, frozen."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    def canonical(self) -> dict[str, Any]:
        """Return the section as plain data with all defaults.

        Options that a later release added are left out while they keep the earlier behaviour (`elastic.releases`).
        """
        return without_later(type(self), plain(self.model_dump(context=CANONICAL)))


class Component(Strict):
    """A registered function given by name, or as a mapping of ``name`` and options.

    >>> Component.model_validate({"name": "mlp", "widths": [8]}).options
    {'widths': [8]}
    >>> Component.model_validate("mse")
    Component(name='mse')
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(min_length=1, description="Registered name (`elastic list`).")]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the registered function."""
        return dict(self.model_extra or {})
