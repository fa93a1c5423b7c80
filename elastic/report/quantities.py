"""What the variables of a cube are: the facts that each carries with it."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class Quantity:
    """One variable: its name, what it is, formula, units, the cite key of its source."""

    name: str
    meaning: str
    formula: str
    units: str
    source: str


def quantities(cube: xr.DataTree) -> list[Quantity]:
    """Return the variables of collapse and elasticity of a cube, in its order, without its bookkeeping.

    Examples
    --------
    >>> nc1 = xr.DataArray(0.0, attrs={"long_name": "NC1", "formula": "tr(Σ_W Σ_B⁺)/K"})
    >>> quantities(xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": nc1})}))[0].formula
    'tr(Σ_W Σ_B⁺)/K'
    """
    return [
        Quantity(str(name), *(str(values.attrs.get(fact, "")) for fact in ("long_name", "formula", "units", "source")))
        for group in cube.children.values()
        if group.name != "training"
        for name, values in group.dataset.data_vars.items()
        if "formula" in values.attrs
    ]
