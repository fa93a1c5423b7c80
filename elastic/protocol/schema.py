"""The complete protocol as a pydantic model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path as FilePath
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field, PrivateAttr

from elastic.errors import ElasticError, ProtocolError
from elastic.protocol.canonical import digest
from elastic.protocol.cells import Cell, build_cells
from elastic.protocol.crossing_sections import Condition, Together
from elastic.protocol.dims import Grid, grid_of
from elastic.protocol.grid import Axes, axis_name
from elastic.protocol.header import Header
from elastic.protocol.later_options import with_earlier
from elastic.protocol.positions import Place, Places
from elastic.protocol.sections import Sections
from elastic.protocol.validation_errors import explain
from elastic.releases import Added


class Protocol(Header, Sections):
    """A protocol whose components are complete: every option of every component has a value.

    The sections are those of the first cell; the axes hold the values at their paths in the other cells. An axis that
    switches the name of a component is therefore stored as one that switches the whole component, with the same labels.
    """

    axes: Annotated[Axes, Field(description="Values of the protocol that vary; runs are their product.")] = (
        Axes.model_validate({})
    )
    together: Annotated[
        dict[Annotated[str, AfterValidator(axis_name)], Together],
        Added("0.1.0", before={}),
        Field(description="Axes that vary together, as one dim of the cube.", examples=[{"size": ["wide", "rate"]}]),
    ] = {}  # noqa: RUF012 (pydantic copies it)
    exclude: Annotated[
        list[Condition],
        Added("0.1.0", before=[]),
        Field(description="Combinations of labels to leave out.", examples=[[{"norm": "none", "rate": [0.2, 0.4]}]]),
    ] = []  # noqa: RUF012 (pydantic copies it)
    _text: str = PrivateAttr("")

    @property
    def text(self) -> str:
        """The text of the file; if no file has these values (because some were set), an equivalent complete file."""
        # Reads registries, which opening a study does not need.
        from elastic.protocol.later_components import written_out

        if self._text:
            return self._text
        complete = written_out(self.canonical(), Protocol)
        return json.dumps(complete, indent=1, ensure_ascii=False) + "\n"  # JSON is YAML

    @cached_property
    def places(self) -> Places:
        """Locations of the parts of the protocol in its file; empty without a file."""
        return Places(Place(0, 1, 1, ""))

    def located(self, error: ElasticError) -> ElasticError:
        """Add the location in the file to an error, if the error names a part of the protocol."""
        field = error.field.strip("`")
        named = {".".join(map(str, path)): place for path, place in self.places.values.items()}  # keys may have dots
        ends = [place for name, place in named.items() if name.endswith(f".{field}")]
        place = named.get(field) or (ends[0] if len(ends) == 1 else None)
        return error if error.place or place is None or not place.text else error.at(place.text)

    @cached_property
    def beside(self) -> FilePath | None:
        """Folder in which allowed modules are searched; None without a file."""
        return None  # set by `load_protocol`; not part of the protocol

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical protocol: equivalent files have the same digest."""
        return digest(self.canonical())

    @property
    def axis_labels(self) -> dict[str, list[Any]]:
        """Labels on each dim of the grid, in the order of the cube: alphabetical, and seed last."""
        return self.grid.labels

    @cached_property
    def grid(self) -> Grid:
        """The dims formed by the axes, and the cells of their product to run."""
        return Grid(self.axes, self.together, self.exclude)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All runs, in the product order of the dims: seed, the last, runs fastest."""
        return build_cells(self, self.grid)

    @classmethod
    def from_canonical(cls, data: Mapping[str, Any]) -> Protocol:
        """Build a protocol from a canonical form without checking its options in the registries.

        Options that a later release added to a section keep the behaviour of earlier releases if the form lacks them.

        Raises
        ------
        ProtocolError
            If the form is not a protocol.
        """
        plain = with_earlier(cls, data)
        try:
            protocol = cls.model_validate(plain)
        except pydantic.ValidationError as error:
            first = explain(error, cls, plain)[0].error
            raise ProtocolError(first.field, first.expected, first.found, first.hint) from None
        try:
            grid_of(plain)
        except (ValueError, KeyError) as error:
            raise ProtocolError("`axes`", "make a grid", f"{type(error).__name__}: {error}", "another file") from None
        return protocol
