"""The parts ``together`` and ``exclude`` of a protocol, which make its grid other than a product of the axes.

``axes`` alone make a product. ``together`` lets axes vary in step, as one dim; ``exclude`` drops cells of the product::

    axes:
      seed: [0, 1]
      wide: {path: model.widths, values: [[64], [64], [256]], labels: [64, 64, 256]}
      rate: {path: optimizer.lr, values: [0.1, 0.2, 0.05]}
      norm: {path: model.norm, values: [none, batch]}
    together: {size: [wide, rate]}
    exclude: [{norm: none, rate: 0.2}]

The dims of this cube are norm, size and seed. ``size`` has a label for each position, "wide=64 rate=0.1" if no others
are given, and the coordinates wide and rate along it. A cell is named by its settings: it keeps its name, and its run,
whichever way the grid leads to it.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, Field

from elastic.protocol.grid import Scalar, axis_name, same_type_labels
from elastic.protocol.strict import Strict
from elastic.protocol.validators import Unfit, without_repeats

#: Labels by axis or dim; cells that match all of them are left out.
Condition = Annotated[dict[str, Scalar | Annotated[list[Scalar], Field(min_length=1)]], Field(min_length=1)]


class Together(Strict):
    """Axes of equal length that vary together, as one dim of the cube; also accepts a list of their names.

    >>> Together.model_validate(["wide", "rate"])
    Together(axes=['wide', 'rate'], labels=None)
    """

    axes: Annotated[
        list[str],
        Field(min_length=2, description="Axes of equal length.", examples=[["wide", "rate"]]),
        AfterValidator(without_repeats),
    ]
    labels: Annotated[
        list[Scalar] | None,
        Field(
            description="Labels of the positions; null: built from the labels of the axes.",
            examples=[["small", "large"]],
        ),
        AfterValidator(lambda labels: labels and same_type_labels(without_repeats(labels))),
    ] = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _axes_alone(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise Unfit("be a list of axes of one length", f"[{value}, …], with another axis")
        return {"axes": value} if isinstance(value, list) else value


class Crossing(Strict):
    """How the axes of a protocol form its grid, other than as a product."""

    together: dict[Annotated[str, AfterValidator(axis_name)], Together] = {}  # noqa: RUF012 (pydantic copies it)
    exclude: list[Condition] = []  # noqa: RUF012 (pydantic copies it)
