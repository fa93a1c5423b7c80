"""Every option of a protocol is described where it is declared: the schema, `elastic show` and editors show it."""

import re
import typing

import pydantic
import pytest

from elastic.docstrings import parameter_descriptions
from elastic.protocol import Protocol
from elastic.registry import PACKAGES, registry

#: Kinds whose functions have options of a protocol or of a figure; a metric's parameters are readings.
KINDS = tuple(kind for kind in PACKAGES if kind != "metrics")


def models_below(model):
    """Yield a pydantic model and the models in its fields."""
    yield model
    annotations = [field.annotation for field in model.model_fields.values()]
    annotations += [typing.get_type_hints(model).get("__pydantic_extra__")]
    for annotation in annotations:
        waiting = [annotation]
        while waiting:
            part = waiting.pop()
            waiting += typing.get_args(part)
            if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
                yield from models_below(part)


def options():
    """Yield name and description of every option."""
    for kind in KINDS:
        for entry in registry(kind):
            for name, field in entry.options.model_fields.items():
                yield f"{kind}.{entry.name}.{name}", field.description
    for model in {model.__name__: model for model in models_below(Protocol)}.values():
        for name, field in model.model_fields.items():
            if (model.__name__, name) != ("Axis", "left_out"):  # no file tells it
                yield f"{model.__name__}.{name}", field.description


def test_every_option_is_described_in_sentences():
    described = dict(options())
    assert len(described) > 300
    assert {"models.mlp.widths", "Training.epochs", "Protocol.claims", "Together.labels", "Axis.values"} <= {*described}
    wrong = {name: text for name, text in described.items() if not re.fullmatch(r"[^a-z\s].*[^.]\.", text or "")}
    assert wrong == {}


def test_a_docstring_describes_more_closely_than_an_annotation():
    variable = registry("claims").get("exceeds").options.model_fields["other"]
    assert variable.description.startswith("Variable of the same units;")
    assert variable.json_schema_extra == {"names": "variable"}


SECTION = "Parameters\n----------\n"


@pytest.mark.parametrize(
    ("docstring", "described"),
    [
        ("No section.", {}),
        (f"A.\n\n{SECTION}a : int\n    One\n    line.\nb\n    Two.\n\nRaises\n------\nc\n    No.",
         {"a": "One line.", "b": "Two."}),
        (f"A.\n\n{SECTION}a, b\n    ``Both``.\n\n    More.\n\nExamples\n--------\n>>> 1",
         {"a": "`Both`. More.", "b": "`Both`. More."}),
        (f"A.\n\n{SECTION}nothing\n**others\n    Rest.", {"others": "Rest."}),
    ],
)  # fmt: skip
def test_parameters_are_read_from_a_docstring(docstring, described):
    assert parameter_descriptions(docstring) == described
    indented = docstring.replace("\n", "\n    ")
    assert parameter_descriptions(indented) == described
