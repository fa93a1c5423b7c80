"""The grid of runs: axes, their product, and what each cell of it runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from elastic.protocol.canonical import canonical_json
from elastic.protocol.later_options import with_earlier
from elastic.protocol.paths import Path, leave, put
from elastic.protocol.sections import CANONICAL, Sections, Settings, Strict, without_repeats
from elastic.protocol.words import dotted
from elastic.releases import Added

MAX_CELLS = 100_000

Scalar = str | int | float | bool

#: Names that the cube uses itself, whatever is probed: no axis may have them. Nor may it be named like the group or a
#: dim of a registered probe, or like a metric (`elastic.protocol.loading`).
RESERVED = frozenset(
    {"epoch", "split", "layer", "depth", "width", "role", "samples", "status", "training"}
    | {"layer_depth", "layer_width", "layer_role", "class_samples"}
    | {"loss", "accuracy", "lr", "gradient_norm", "seconds", "objective"}
)


def _axis_path(path: str) -> str:
    parts = path.split(".")
    if parts[0] not in Sections.model_fields or not all(parts):
        raise ValueError(f"lead into {', '.join(Sections.model_fields)}")
    return path


def axis_name(name: str) -> str:
    """Return the name of an axis if it may have it; ValueError says what it should be instead."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise ValueError("be a name of a-z, 0-9 and _ that begins with a letter")
    if name in RESERVED:
        raise ValueError(own_name(name))
    return name


def own_name(name: str) -> str:
    """Return what an axis should do that is named like a part of the cube."""
    return f"have another name, such as {name}_axis (the cube uses this one itself)"


def _labels(labels: list[Scalar]) -> list[Scalar]:
    families = {str if isinstance(label, str) else bool if isinstance(label, bool) else float for label in labels}
    if len(families) > 1:
        raise ValueError("be all texts, all numbers or all booleans")
    return [float(label) for label in labels] if float in map(type, labels) else labels


class Axis(Strict):
    """One part of the protocol that takes several values.

    Values that are no plain scalar need labels, by which the cube calls them.

    >>> Axis.model_validate({"path": "optimizer.lr", "values": [0.1, 1]}).labels
    [0.1, 1.0]
    """

    path: Annotated[str, AfterValidator(_axis_path), Field(examples=["optimizer.lr"])]
    values: Annotated[list[JsonValue], Field(min_length=1), AfterValidator(without_repeats)]
    labels: Annotated[
        list[Scalar],
        Field(description="left out: the values themselves", examples=[["small", "large"]]),
        AfterValidator(_labels),
        AfterValidator(without_repeats),
    ]
    #: Positions of the values that a cell leaves out: they mean what a component did before it had the option. Found
    #: while a protocol is read; a file cannot tell them.
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
            raise ValueError(f"have one label for each of its {len(self.values)} values")
        return self

    @property
    def parts(self) -> Path:
        """The path, cut at its dots."""
        return tuple(self.path.split("."))


Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**32)]],
    Field(min_length=1, examples=[[0, 1, 2]]),
    AfterValidator(without_repeats),
]


class Axes(Strict):
    """The axes of a study. ``seed`` is always among them.

    Their order is the alphabet's, and seed comes last: the order of keys in a file has no meaning.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[Annotated[str, AfterValidator(axis_name)], Axis]

    seed: Seeds = [0]  # noqa: RUF012 (pydantic copies it)

    @property
    def named(self) -> dict[str, Axis]:
        """All axes but seed, in the order of the alphabet."""
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
        cells = prod(len(labels) for labels in self.labels.values())
        if cells > MAX_CELLS:
            raise ValueError(f"make at most {MAX_CELLS:,} runs (they make {cells:,})")
        owner: dict[str, str] = {}
        for name, axis in self.named.items():
            if (other := owner.setdefault(axis.path, name)) != name:
                raise ValueError(f"set different parts ({other} and {name} both set {dotted(axis.parts)})")
        return self


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    index
        Position in the product of the axes, in which the last one, seed, runs fastest.
    coordinates
        Label on each axis, in the order of the axes.
    settings
        What is run.
    digest
        First 16 hexadecimal digits of the SHA-256 of the canonical settings.
    """

    index: int
    coordinates: dict[str, Any]
    settings: Settings
    digest: str


def build_cells(sections: Sections, axes: Axes) -> tuple[Cell, ...]:
    """Return all cells of a grid, in the order of their index.

    Parameters
    ----------
    sections
        A complete protocol's.
    axes
        Complete as well: their values are what stands at their path when all defaults are filled in.
    """
    variants = {name: _variants(name, getattr(sections, name), axes.named) for name in Sections.model_fields}
    texts = {
        name: {at: canonical_json(part.canonical()) for at, part in table.items()}
        for name, (_, table) in variants.items()
    }
    labels, cells = axes.labels, []
    for index, position in enumerate(product(*(range(len(values)) for values in labels.values()))):
        at = dict(zip(labels, position, strict=True))
        places = {name: tuple(at[axis] for axis in own) for name, (own, _) in variants.items()}
        seed, parts = axes.seed[at["seed"]], {name: variants[name][1][place] for name, place in places.items()}
        settings = Settings.model_validate({"seed": seed, **parts})
        coordinates = {axis: labels[axis][i] for axis, i in at.items()}
        name = _cell_digest(seed, {name: texts[name][place] for name, place in places.items()})
        cells.append(Cell(index, coordinates, settings, name))
    return tuple(cells)


def cell_digests(sections: Mapping[str, Mapping[str, Any]], axes: Axes) -> Iterator[str]:
    """Yield the digest of each cell of canonical sections as they are, in the order of the cells' index.

    No default is filled in: the cells of a protocol that lacks an option keep the names that they had before the
    option existed. The text of each section is made once for all cells that share it.
    """
    texts = {}
    for name, section in sections.items():
        own = axes_of(name, axes.named)
        positions = product(*(range(len(axis.values)) for axis in own.values()))
        variants = {at: set_axes({name: dict(section)}, own, dict(zip(own, at, strict=True)))[name] for at in positions}
        texts[name] = list(own), {at: canonical_json(variant) for at, variant in variants.items()}
    labels = axes.labels
    for position in product(*(range(len(values)) for values in labels.values())):
        at = dict(zip(labels, position, strict=True))
        parts = {name: table[tuple(at[axis] for axis in own)] for name, (own, table) in texts.items()}
        yield _cell_digest(axes.seed[at["seed"]], parts)


def _cell_digest(seed: int, sections: Mapping[str, str]) -> str:
    """Return the digest of settings whose sections have these canonical JSON texts."""
    parts = {**sections, "seed": str(seed)}
    text = "{" + ",".join(f'"{name}":{parts[name]}' for name in sorted(parts)) + "}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def axes_of(section: str, axes: Mapping[str, Axis]) -> dict[str, Axis]:
    """Return the axes that set a section or parts of it, in the order in which they do: wholes before parts."""
    own = [(name, axis) for name, axis in axes.items() if axis.parts[0] == section]
    return dict(sorted(own, key=lambda item: (len(item[1].parts), item[0])))


def set_axes(section: dict[str, Any], axes: Mapping[str, Axis], at: Mapping[str, int]) -> dict[str, Any]:
    """Return a plain ``{section: …}`` with its axes at the positions told."""
    (name,) = section
    for axis, values in axes_of(name, axes).items():
        if at[axis] in values.left_out:
            section = leave(section, values.parts)
        else:
            section = put(section, values.parts, values.values[at[axis]])
    return section


def _variants(name: str, section: Strict, axes: Mapping[str, Axis]) -> tuple[list[str], dict[tuple[int, ...], Strict]]:
    """Return the names of the axes that set a section, and the section at each of their positions."""
    own, model, written = axes_of(name, axes), type(section), {name: section.model_dump(context=CANONICAL)}
    positions = product(*(range(len(axis.values)) for axis in own.values()))
    return list(own), {
        at: model.model_validate(with_earlier(model, set_axes(written, own, dict(zip(own, at, strict=True)))[name]))
        for at in positions
    }
