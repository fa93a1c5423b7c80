"""What a run will record: its epochs, layers, classes and variables, known before training starts.

A `Layout` tells the shape and the meaning of every number in the
run's journal, so that the cube is built without the model that was measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from elastic.cube.attributes import storable
from elastic.cube.names import CLASS_DIMS, GROUPS, STATUS
from elastic.errors import StudyError

DIGEST = "sha256"


class Layer(NamedTuple):
    """A layer by name, with its depth (0: the input) and its number of features."""

    name: str
    depth: int
    width: int


@dataclass(frozen=True)
class Variable:
    """One variable of the cube.

    Attributes
    ----------
    group, name
        Where the cube holds it: ``cube[group][name]``.
    dims
        Some of the group's dims (`elastic.cube.names.GROUPS`), in their order; () for one number an epoch.
    attrs
        Attributes of the cube's variable (long_name, units, source, formula, value_bounds); kept as netCDF and Zarr
        hold them (`elastic.cube.attributes.storable`).
    dtype
        A floating-point NumPy type: what is not computed must be able to be NaN.

    Raises
    ------
    StudyError
        If the group does not have the dims, or the type holds no NaN.
    """

    group: str
    name: str
    dims: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float64"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        # As JSON gives them back, so that a layout equals the one read from its file, whichever version wrote that.
        object.__setattr__(self, "attrs", storable(self.attrs))
        known = GROUPS.get(self.group)
        if known is None:
            raise _wrong(self.name, f"be in one of the groups {', '.join(GROUPS)}", repr(self.group))
        if self.dims != tuple(dim for dim in known if dim in self.dims):
            raise _wrong(self.key, f"have dims among {known}, in this order", repr(self.dims))
        if np.dtype(self.dtype).kind != "f":
            raise _wrong(self.key, "be of a floating-point type", repr(self.dtype))
        if self.name == STATUS:
            raise _wrong(self.key, "have another name than the cube's own", repr(self.name))

    @property
    def key(self) -> str:
        """Name of the variable in a journal's record.

        >>> Variable("collapse", "nc1", ("split", "layer")).key
        'collapse/nc1'
        """
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Layout:
    """Coordinates and variables of one run.

    Attributes
    ----------
    epochs
        The last epoch; training has 0 … epochs.
    probed
        Epochs at which collapse and elasticity are measured, in ascending order.
    layers
        (name, depth, width) of each layer in the order of depth, the input at depth 0 among them.
    classes
        Names of the K classes in the order of their positions.
    splits
        Names of the splits.
    class_counts
        Samples of each class, {split: [K]}.
    variables
        What every record holds.

    Examples
    --------
    >>> nc1 = Variable("collapse", "nc1", ("split", "layer"))
    >>> response = Variable("elasticity", "response", ("layer", "stepped_class", "observed_class"))
    >>> layout = Layout(9, [0, 9], [("input", 0, 64), ("logits", 1, 10)], [0, 1, 2], ["train"],
    ...                 {"train": [5, 5, 5]}, [nc1, response])
    >>> layout.shape(nc1), layout.shape(response)    # elasticity has no input: it never moves
    ((1, 2), (1, 3, 3))
    >>> Layout.from_json(layout.to_json()) == layout
    True
    """

    epochs: int
    probed: Sequence[int]
    layers: Sequence[tuple[str, int, int]]
    classes: Sequence[int | str]
    splits: Sequence[str]
    class_counts: Mapping[str, Sequence[int]]
    variables: Sequence[Variable]

    def __post_init__(self) -> None:
        # Plain Python values (no NumPy numbers, no lists), so that a layout equals the one read from its file.
        counts = {split: tuple(int(n) for n in of_split) for split, of_split in self.class_counts.items()}
        plain = {
            "epochs": int(self.epochs),
            "probed": tuple(int(epoch) for epoch in self.probed),
            "layers": tuple(Layer(name, int(depth), int(width)) for name, depth, width in self.layers),
            "classes": tuple(name if isinstance(name, str) else int(name) for name in self.classes),
            "splits": tuple(self.splits),
            "class_counts": counts,
            "variables": tuple(self.variables),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if list(self.probed) != sorted({epoch for epoch in self.probed if 0 <= epoch <= self.epochs}):
            raise _wrong("probed", f"be ascending epochs of 0 … {self.epochs}", repr(self.probed))
        if any(len(of_split) != len(self.classes) for of_split in counts.values()):
            raise _wrong("class_counts", f"hold {len(self.classes)} counts a split", repr(counts))
        for name, values in (
            ("layers", [layer[0] for layer in self.layers]),
            ("classes", list(self.classes)),
            ("splits", list(self.splits)),
            ("variables", [variable.key for variable in self.variables]),
        ):
            if len(set(values)) < len(values):
                raise _wrong(name, "have different names", repr(values))

    def labels(self, group: str, dim: str) -> tuple[int | str, ...]:
        """Return the names along a dim of a group."""
        if dim in CLASS_DIMS:
            return tuple(self.classes)
        if dim == "component":
            return tuple(range(1, len(self.classes) + 1))
        if dim == "split":
            return tuple(self.splits)
        least = 1 if group == "elasticity" else 0
        return tuple(name for name, depth, _ in self.layers if depth >= least)

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """Return the shape of a variable's numbers at one epoch."""
        return tuple(len(self.labels(variable.group, dim)) for dim in variable.dims)

    @cached_property
    def _probed(self) -> frozenset[int]:
        return frozenset(self.probed)

    def is_probed(self, epoch: int) -> bool:
        """Return whether collapse and elasticity are measured at this epoch."""
        return epoch in self._probed

    def recorded(self, *, probed: bool) -> list[Variable]:
        """Return the variables of a record: all at a probed epoch, those of training at any other."""
        return [variable for variable in self.variables if probed or variable.group == "training"]

    def to_json(self) -> str:
        """Return the layout as JSON text with its own SHA-256, the same text for the same layout."""
        parts = asdict(self)
        return json.dumps({**parts, DIGEST: _digest(parts)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Return the layout that `to_json` wrote.

        Raises
        ------
        StudyError
            If the text is no layout, or not as it was written.
        """
        try:
            parts = json.loads(text)
            if parts.pop(DIGEST) != _digest(parts):
                raise ValueError("text that is not as it was written")
            variables = [Variable(**variable) for variable in parts.pop("variables")]
            return cls(**parts, variables=variables)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _wrong("layout", "be a layout", f"{type(error).__name__}: {error}") from None


def _digest(parts: Mapping[str, Any]) -> str:
    # No checksum of the file system tells of a flipped bit in a number or a name.
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _wrong(field_name: str, should: str, found: str) -> StudyError:
    return StudyError(f"`{field_name}`", should, found, "another layout of the run")
