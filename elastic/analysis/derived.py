"""Variables that are no part of a cube but computed from one when they are read, so that all that reads has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.analysis.depth_order import hidden_depth_slope
from elastic.analysis.kernel import kernel_change


@dataclass(frozen=True)
class Derived:
    """How a variable is computed from one of the cube.

    Attributes
    ----------
    of
        That variable's name.
    compute
        Function of it. A course is needed: of all epochs, not of one that was chosen before.
    attrs
        As those of a variable of the cube.
    """

    of: str
    compute: Callable[[xr.DataArray], xr.DataArray]
    attrs: dict[str, Any]

    def __call__(self, values: xr.DataArray) -> xr.DataArray:
        """Return the variable with its attributes."""
        return self.compute(values).assign_attrs(self.attrs)


DERIVED = {
    "kernel_change": Derived(
        "class_effect",
        kernel_change,
        {
            "long_name": "Turn of the tangent kernel, averaged by class, away from the first epoch's",
            "units": "1",
            "source": "fort2020deep",
            "formula": "1 - <E(t), E(0)> / (|E(t)| |E(0)|), E = class_effect",
            "value_bounds": ["0.0", "2.0"],
        },
    ),
    "nc1_depth_slope": Derived(
        "nc1",
        hidden_depth_slope,
        {
            "long_name": "Slope of log nc1 with depth over the hidden layers; above 0 the order of layers is reversed",
            "units": "per layer",
            "source": "tirer2022extended",
            "formula": "least-squares slope of ln nc1 against depth, hidden layers",
            "value_bounds": ["-inf", "inf"],
        },
    ),
}


def measured_as(name: str) -> str:
    """Return the variable of the cube that a variable rests on: itself, unless it is derived.

    >>> measured_as("kernel_change"), measured_as("nc1")
    ('class_effect', 'nc1')
    """
    return DERIVED[name].of if name in DERIVED else name
