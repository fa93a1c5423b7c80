"""The parts of a layout: variables and layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from elastic.cube.attributes import storable
from elastic.cube.names import STATUS
from elastic.errors import StudyError


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
        Some of the group's dims, in their order; () for one number an epoch.
    attrs
        Attributes of the cube's variable (long_name, units, source, formula, value_bounds); kept as netCDF and Zarr
        hold them (`elastic.cube.attributes.storable`).
    dtype
        A floating-point NumPy type: what is not computed must be able to be NaN.

    Raises
    ------
    StudyError
        If the type holds no NaN, or the name is the cube's own or a path.
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
        if np.dtype(self.dtype).kind != "f":
            raise misfit(self.key, "be of a floating-point type", repr(self.dtype))
        if self.name == STATUS:
            raise misfit(self.key, "have another name than the cube's own", repr(self.name))
        if "/" in self.group + self.name:
            raise misfit(self.key, "have a group and a name without '/'", repr(self.key))

    @property
    def key(self) -> str:
        """Name of the variable in a journal's record.

        >>> Variable("collapse", "nc1", ("split", "layer")).key
        'collapse/nc1'
        """
        return f"{self.group}/{self.name}"


def check_names(new: Sequence[Variable], known: Sequence[Variable] = ()) -> None:
    """Raise a StudyError if a new variable has the name of another one, also in another group.

    Readers of a cube name a variable without its group. A layout that was written before is read with any names.

    >>> check_names([Variable("one", "x"), Variable("two", "y")])
    """
    names, added = [variable.name for variable in (*known, *new)], {variable.name for variable in new}
    if twice := [v.key for v in (*known, *new) if v.name in added and names.count(v.name) > 1]:
        raise StudyError("`variables`", "have different names", ", ".join(twice), "another name for your own one")


def misfit(field_name: str, expected: str, found: str) -> StudyError:
    """Return the error of a part of a layout that does not fit."""
    return StudyError(f"`{field_name}`", expected, found, "another layout of the run")
