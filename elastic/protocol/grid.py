"""The axes of a study: values of the protocol that vary between runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from elastic.protocol.formatting import dotted
from elastic.protocol.misplaced_keys import homes
from elastic.protocol.paths import Path, leave, put
from elastic.protocol.sections import Sections
from elastic.protocol.strict import Strict
from elastic.protocol.validators import Unfit, without_repeats
from elastic.registry import nearest
from elastic.releases import Added

Scalar = str | int | float | bool

#: Reserved names of the cube, which no axis may have. Groups and dims of registered probes and names of metrics are
#: reserved, too (`elastic.protocol.loading`).
RESERVED = frozenset(
    {"epoch", "split", "layer", "depth", "width", "role", "samples", "status", "training"}
    | {"layer_depth", "layer_width", "layer_role", "class_samples"}
    | {"loss", "accuracy", "lr", "gradient_norm", "seconds", "objective", "scores_evaluated"}
)


#: A path into a protocol.
EXAMPLE = "optimizer.lr"


def _axis_path(path: str) -> str:
    parts = path.split(".")
    if parts[0] not in Sections.model_fields or not all(parts):
        raise Unfit(f"lead into {', '.join(Sections.model_fields)}", f"path: {_likely_path(path)}")
    return path


def _likely_path(path: str) -> str:
    """Return the path that an invalid one most likely means.

    >>> _likely_path("optimizer/lr"), _likely_path("lr"), _likely_path("modle.widths"), _likely_path("axes.seed")
    ('optimizer.lr', 'optimizer.lr', 'model.widths', 'data.seed')
    """
    section, *others = [part for part in re.split(r"[./:\s]+", path) if part] or [""]
    known = nearest(section, list(Sections.model_fields), fallback="").strip("'")
    if known and others:
        return ".".join((known, *others))
    paths = [home for home in homes([section, *others][-1], ()) if home.partition(".")[0] in Sections.model_fields]
    return paths[0] if paths else EXAMPLE


def axis_name(name: str) -> str:
    """Validate the name of an axis."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        likely = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        raise Unfit("be a name of a-z, 0-9 and _ that begins with a letter", likely or "rate")
    if name in RESERVED:
        raise Reserved(name)
    return name


class Reserved(Unfit):
    """Error for a reserved name of an axis; the message lists all reserved names."""

    def __init__(self, name: str) -> None:
        from elastic.protocol.registered_probes import names_of_probes  # which reads the probes, and needs torch

        known = ", ".join(sorted(RESERVED | names_of_probes()))
        super().__init__(f"have another name than those that the cube uses itself ({known})", f"{name}_axis")


def same_type_labels(labels: list[Scalar]) -> list[Scalar]:
    """Convert labels to one type (integers among floats become floats); ValueError if their types differ."""
    families = {str if isinstance(label, str) else bool if isinstance(label, bool) else float for label in labels}
    if len(families) > 1:
        raise ValueError("be all texts, all numbers or all booleans")
    return [float(label) for label in labels] if float in map(type, labels) else labels


class Axis(Strict):
    """One value of the protocol that varies between runs.

    Values that are not scalars need labels for the cube. Duplicate values are allowed only if the axis varies together
    with others (`elastic.protocol.dims`).

    >>> Axis.model_validate({"path": "optimizer.lr", "values": [0.1, 1]}).labels
    [0.1, 1.0]
    """

    path: Annotated[
        str,
        AfterValidator(_axis_path),
        Field(description="Path of the value that the axis sets.", examples=["optimizer.lr"]),
    ]
    values: Annotated[
        list[JsonValue], Field(min_length=1, description="Values at that path, one per label.", examples=[[0.01, 0.1]])
    ]
    labels: Annotated[
        list[Scalar],
        Field(
            description="Labels of the values in the cube; by default the values themselves.",
            examples=[["small", "large"]],
        ),
        AfterValidator(same_type_labels),
    ]
    #: Positions of values that cells leave out, because they equal the behaviour before the option existed. Computed
    #: when a protocol is loaded; not part of a file.
    left_out: Annotated[list[int], Added("0.1.0", before=[])] = []  # noqa: RUF012 (pydantic copies it)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _values_label_themselves(cls, axis: Any) -> Any:
        values = axis.get("values") if isinstance(axis, dict) and "labels" not in axis else None
        if not isinstance(values, list) or not all(isinstance(value, Scalar) for value in values):
            return axis
        return {**axis, "labels": values}

    @pydantic.model_validator(mode="after")
    def _one_label_a_value(self) -> Axis:
        if len(self.labels) != len(self.values):
            plain = all(isinstance(value, Scalar) for value in self.values)
            named = f"labels: [{', '.join(f'label_{i}' for i in range(1, len(self.values) + 1))}]"
            raise Unfit(
                f"have one label for each of its {len(self.values)} values",
                "leaving the labels out" if plain else named,
            )
        return self

    @property
    def parts(self) -> Path:
        """The parts of the path."""
        return tuple(self.path.split("."))


Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**32)]],
    Field(min_length=1, description="Seeds of the runs, for weights, data and batches.", examples=[[0, 1, 2]]),
    AfterValidator(without_repeats),
]


class Axes(Strict):
    """The axes of a study, always including ``seed``.

    They are sorted alphabetically with seed last: the order of keys in a file is irrelevant.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Annotated[str, AfterValidator(axis_name)], Axis]

    seed: Seeds = [0]  # noqa: RUF012 (pydantic copies it)

    @property
    def named(self) -> dict[str, Axis]:
        """All axes except seed, in alphabetical order."""
        return dict(sorted((self.model_extra or {}).items()))

    @property
    def labels(self) -> dict[str, list[Any]]:
        """Labels of each axis, in the order of the axes.

        >>> Axes.model_validate({"seed": [0, 1], "bias": {"path": "model.bias", "values": [True]}}).labels
        {'bias': [True], 'seed': [0, 1]}
        """
        return {name: list(axis.labels) for name, axis in self.named.items()} | {"seed": list(self.seed)}

    @pydantic.model_validator(mode="after")
    def _fit_together(self) -> Axes:
        owner: dict[str, str] = {}
        for name, axis in self.named.items():
            if (other := owner.setdefault(axis.path, name)) != name:
                raise Unfit(
                    f"set different parts ({other} and {name} both set {dotted(axis.parts)})",
                    f"one axis with the values of both, or another path for {name}",
                )
        return self


def axes_of(section: str, axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """Return the axes that set a section or parts of it, those with shorter paths first."""
    own = [(name, axis) for name, axis in axes.items() if axis.parts[0] == section]
    return dict(sorted(own, key=lambda item: (len(item[1].parts), item[0])))


def set_axes(section: dict[str, Any], axes: Mapping[str, Axis], at: Mapping[str, int]) -> dict[str, Any]:
    """Return a plain ``{section: …}`` with its axes set to the values at the given positions."""
    (name,) = section
    for axis, values in axes_of(name, axes).items():
        if at[axis] in values.left_out:
            section = leave(section, values.parts)
        else:
            section = put(section, values.parts, values.values[at[axis]])
    return section
