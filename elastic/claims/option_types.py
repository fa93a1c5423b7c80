"""Types of the options of claims: what each names in a study.

A protocol is validated against its axes, and against the variables that a cube can hold, before anything is trained.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from elastic.releases import Added

#: A label on an axis of a study.
Label = str | int | float | bool

#: An option that names a variable of the cube, with or without its group.
Variable = Annotated[
    str, Field(description="Variable of the cube, with or without its group.", json_schema_extra={"names": "variable"})
]

#: An option that names an axis of the study.
Axis = Annotated[str, Field(description="Axis of the study.", json_schema_extra={"names": "axis"})]

#: An option that names an axis of the study with numeric labels, three of them positive.
NumericAxis = Annotated[
    str,
    Field(
        description="Axis of the study whose labels are numbers, three of them positive.",
        json_schema_extra={"names": "numeric_axis"},
    ),
]

#: An option that names a label on the axis in the option ``axis``.
OnAxis = Annotated[Label, Field(description="Label on that axis.", json_schema_extra={"names": "label"})]

#: An option that selects settings of the study, and parts of the variable: {dim: label}.
Where = Annotated[
    dict[str, Label] | None,
    Field(
        description="Labels on axes of the study, {axis: label}; null: every setting.",
        json_schema_extra={"names": "where"},
    ),
]

#: A probed epoch; a negative one counts from the last.
Epoch = Annotated[int, Field(description="Probed epoch; -1: the last.", json_schema_extra={"names": "epoch"})]

#: A split of the data.
Split = Annotated[
    str,
    Field(
        description="Split of the data on which the variable is measured.",
        examples=["train", "test"],
        json_schema_extra={"names": "split"},
    ),
]

#: A layer, by its label or role; None for every hidden one.
Layer = Annotated[
    str | None,
    Field(
        description="Layer by name, penultimate or logits; null: every hidden layer.",
        examples=["penultimate"],
        json_schema_extra={"names": "layer"},
    ),
]

#: A layer that has to be named.
OneLayer = Annotated[
    str, Field(description="Layer by name.", examples=["penultimate"], json_schema_extra={"names": "layer"})
]

#: Layers, by their labels or roles; None for every hidden one.
Layers = Annotated[
    list[str] | None,
    Field(
        description="Layers by name; null: every hidden layer.",
        examples=[["input", "hidden_1"]],
        json_schema_extra={"names": "layers"},
    ),
]

#: Whether the input counts as a layer; False is omitted from digests, as in earlier releases.
IncludeInput = Annotated[bool, Added("0.1.0", before=False), Field(description="Whether the input counts as layer 0.")]

#: Classes, by their labels.
Classes = Annotated[
    list[Label],
    Field(min_length=2, description="Classes by label.", examples=[[7, 8, 9]], json_schema_extra={"names": "classes"}),
]

#: The paper from which a protocol takes a claim of a general form.
Source = Annotated[str, Field(description="Key of elastic/references.bib.", json_schema_extra={"names": "source"})]
