"""The layout of a run: its epochs, layers, classes, groups and variables, fixed before the first record.

A `Layout` defines shape and meaning of all values in the run's journal, so that the cube can be built without the model
and the probes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from elastic.cube.checked_files import decode_json, encode_json
from elastic.cube.names import CLASS_DIMS, TRAINING, UNDECLARED
from elastic.cube.variable import Layer, Variable, misfit

Label = int | float | str


@dataclass(frozen=True)
class Layout:
    """Coordinates and variables of one run.

    Attributes
    ----------
    epochs
        The last epoch of a planned run, which records 0 … epochs. None: an open run, which records any epochs, whole
        or fractional, and probes at any of them.
    probed
        Epochs at which a planned run is probed, in ascending order; () for an open one.
    layers
        (name, depth, width) of each layer in the order of depth, the input at depth 0 among them; the last is the
        output.
    classes
        Names of the K classes in the order of their positions.
    splits
        Names of the splits.
    class_counts
        Samples of each class, {split: [K]}.
    variables
        What a record holds.
    groups
        {group: {dim: labels}}, the dims in the order in which variables have them; ``training`` may be left out. None:
        the dims that the groups had before 0.2, for those groups that have variables.
    long_names
        What the dims are that `elastic.cube.names.COORDINATES` does not describe.
    cell
        Digest of the run's cell, which names the run's folder; None in a layout that is not in a folder, and in one
        that an earlier release wrote. Layouts that differ in it only are equal.

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

    epochs: int | None
    probed: Sequence[int]
    layers: Sequence[tuple[str, int, int]]
    classes: Sequence[int | str]
    splits: Sequence[str]
    class_counts: Mapping[str, Sequence[int]]
    variables: Sequence[Variable]
    groups: Mapping[str, Mapping[str, Sequence[Label]]] | None = None
    long_names: Mapping[str, str] = field(default_factory=dict)
    cell: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Plain Python values (no NumPy numbers, no lists), so that a layout equals the one read from its file.
        counts = {split: tuple(int(n) for n in of_split) for split, of_split in self.class_counts.items()}
        plain = {
            "epochs": None if self.epochs is None else int(self.epochs),
            "probed": tuple(int(epoch) for epoch in self.probed),
            "layers": tuple(Layer(name, int(depth), int(width)) for name, depth, width in self.layers),
            "classes": tuple(name if isinstance(name, str) else int(name) for name in self.classes),
            "splits": tuple(self.splits),
            "class_counts": counts,
            "variables": tuple(self.variables),
            "long_names": dict(self.long_names),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        groups = self._undeclared() if self.groups is None else {TRAINING: {"split": self.splits}, **self.groups}
        plain_groups = {group: {dim: _labels(labels) for dim, labels in dims.items()} for group, dims in groups.items()}
        object.__setattr__(self, "groups", plain_groups)
        self._check_coordinates()
        for variable in self.variables:
            self._check_variable(variable)

    def _undeclared(self) -> dict[str, dict[str, Sequence[Label]]]:
        """Return the groups of a layout that declares none, as versions before 0.2 had them."""
        measured = [group for group in UNDECLARED if group == TRAINING or any(v.group == group for v in self.variables)]

        def labels(group: str, dim: str) -> Sequence[Label]:
            if dim in CLASS_DIMS:
                return self.classes
            if dim == "component":
                return range(1, len(self.classes) + 1)
            if dim == "split":
                return self.splits
            least = 1 if group == "elasticity" else 0
            return [name for name, depth, _ in self.layers if depth >= least]

        return {group: {dim: labels(group, dim) for dim in UNDECLARED[group]} for group in measured}

    def _check_coordinates(self) -> None:
        last = -1 if self.epochs is None else self.epochs
        if list(self.probed) != sorted({epoch for epoch in self.probed if 0 <= epoch <= last}):
            raise misfit("probed", f"be ascending epochs of 0 … {last}", repr(self.probed))
        if any(len(of_split) != len(self.classes) for of_split in self.class_counts.values()):
            raise misfit("class_counts", f"hold {len(self.classes)} counts a split", repr(self.class_counts))
        named: list[tuple[str, list[Any]]] = [
            ("layers", [layer[0] for layer in self.layers]),
            ("classes", list(self.classes)),
            ("splits", list(self.splits)),
            ("variables", [variable.key for variable in self.variables]),
            *((f"labels of {g}/{dim}", list(labels)) for g, dims in self._dims.items() for dim, labels in dims.items()),
        ]
        layers = {layer[0] for layer in self.layers}
        for group, dims in self._dims.items():
            if strange := [label for label in dims.get("layer", ()) if label not in layers]:
                raise misfit(f"labels of {group}/layer", f"be layers of the model, {sorted(layers)}", repr(strange))
        for name, values in named:
            if len(set(values)) < len(values):
                raise misfit(name, "have different names", repr([name for name in values if values.count(name) > 1]))

    def _check_variable(self, variable: Variable) -> None:
        known = self._dims.get(variable.group)
        if known is None:
            raise misfit(variable.name, f"be in one of the groups {', '.join(self._dims)}", repr(variable.group))
        if variable.dims != tuple(dim for dim in known if dim in variable.dims):
            raise misfit(variable.key, f"have dims among {tuple(known)}, in this order", repr(variable.dims))

    @property
    def _dims(self) -> Mapping[str, Mapping[str, Sequence[Label]]]:
        return self.groups or {}

    @property
    def is_open(self) -> bool:
        """Whether the run records epochs as they come."""
        return self.epochs is None

    def dims(self, group: str) -> tuple[str, ...]:
        """Return the dims of a group, () for one that the run does not record."""
        return tuple(self._dims.get(group, {}))

    def labels(self, group: str, dim: str) -> tuple[Label, ...]:
        """Return the names along a dim of a group, () where the run does not record it."""
        return tuple(self._dims.get(group, {}).get(dim, ()))

    def shape(self, variable: Variable) -> tuple[int, ...]:
        """Return the shape of a variable's numbers at one epoch."""
        return tuple(len(self.labels(variable.group, dim)) for dim in variable.dims)

    @cached_property
    def _probed(self) -> frozenset[int]:
        return frozenset(self.probed)

    def is_probed(self, epoch: float) -> bool:
        """Return whether a planned run is probed at this epoch."""
        return epoch in self._probed

    def recorded(self, *, probed: bool) -> list[Variable]:
        """Return the variables of a record: all at a probed epoch, those of training at any other."""
        return [variable for variable in self.variables if probed or variable.group == TRAINING]

    def extended(self, variables: Sequence[Variable]) -> Layout:
        """Return the layout with further variables."""
        return replace(self, variables=(*self.variables, *variables))

    def to_json(self) -> str:
        """Return the layout as JSON text with its own checksum, the same text for the same layout."""
        parts = asdict(self)
        # Files of earlier releases have no key "cell", and their groups as lists, in the order of variables' dims.
        parts |= {"groups": {group: list(map(list, dims.items())) for group, dims in parts["groups"].items()}}
        named = {key: parts[key] for key in sorted(parts) if key != "cell" or self.cell is not None}
        return encode_json(named).decode()

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Return the layout that `to_json` wrote, in this version or an earlier one.

        Raises
        ------
        StudyError
            If the text is no layout, or not as it was written.
        """
        try:
            parts, is_checked = decode_json(text.encode())
            if not is_checked:
                raise ValueError("no checksum")
            cell = parts.pop("cell", None)
            layout = copy.copy(_of_any_cell(json.dumps(parts)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise misfit("layout", "be a layout", f"{type(error).__name__}: {error}") from None
        object.__setattr__(layout, "cell", cell)
        return layout


@lru_cache(maxsize=64)
def _of_any_cell(text: str) -> Layout:
    """Parse a layout except for its cell; thousands of runs of a study share one."""
    parts = json.loads(text)
    variables = [Variable(**variable) for variable in parts.pop("variables")]
    groups = parts.pop("groups", None)
    groups = None if groups is None else {group: dict(dims) for group, dims in groups.items()}
    return Layout(**parts, variables=variables, groups=groups)


def _labels(labels: Sequence[Any]) -> tuple[Label, ...]:
    """Return labels as Python's own numbers and strings."""
    return tuple(label.item() if isinstance(label, np.generic) else label for label in labels)
