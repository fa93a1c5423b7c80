"""Derived variables: computed from variables of a cube on access, and available to claims, figures and analyses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xarray as xr

from elastic.analysis.depth_order import hidden_depth_slope
from elastic.analysis.kernel import kernel_change


@dataclass(frozen=True)
class Derived:
    """Definition of a derived variable.

    Attributes
    ----------
    of
        Name of the variable it is computed from.
    compute
        Function of that variable at all epochs; select epochs only afterwards.
    attrs
        Attributes, like those of a variable of the cube.
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
    """Return the variable of the cube that a variable is computed from: itself, unless it is derived.

    >>> measured_as("kernel_change"), measured_as("nc1")
    ('class_effect', 'nc1')
    """
    return DERIVED[name].of if name in DERIVED else name
