"""Which class moves which: the class × class relative similarities, layer by layer."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elastic.figures.contract import figure, first_setting

#: Classes up to which each one is named.
MARKED = 12


@figure()
def response_matrices(cube: xr.DataTree) -> Figure:
    """Draw the relative similarity of every two classes at the first and the last probed epoch, mean over seeds."""
    values = first_setting(cube["elasticity"].dataset["relative_similarity"]).mean("seed").isel(epoch=[0, -1])
    rows, columns = values.sizes["epoch"], values.sizes["layer"]
    drawn = Figure(figsize=(1.55 * columns + 1.1, 1.62 * rows + 0.5), layout="constrained")
    grid = drawn.subplots(rows, columns, squeeze=False)
    top = float(np.nanmax(values))
    for (row, column), axes in np.ndenumerate(grid):
        shown = values.isel(epoch=row, layer=column).transpose("stepped_class", "observed_class")
        axes.imshow(shown, vmin=0, vmax=top, cmap="magma")
        axes.grid(visible=False)
        mark(axes, values, bottom=row == rows - 1, left=column == 0)
        if row == 0:
            axes.set_title(str(values["layer"].values[column]).replace("_", " "), fontsize=9)
        if column == 0:
            axes.set_ylabel(f"epoch {int(values['epoch'][row])}\nstepped class", fontsize=9)
        if row == rows - 1:
            axes.set_xlabel("observed class", fontsize=9)
    bar = drawn.colorbar(grid[0, 0].images[0], ax=grid, shrink=0.8, pad=0.01)
    bar.set_label("relative similarity")
    return drawn


def mark(axes: Axes, values: xr.DataArray, *, bottom: bool, left: bool) -> None:
    """Name the classes at the outer edges, as long as their names have room."""
    names = [str(label) for label in values["observed_class"].values]
    shown = [name if len(names) <= MARKED and len(name) <= 2 else "" for name in names]
    axes.tick_params(length=0, labelsize=6)
    axes.set_xticks(range(len(names)), shown if bottom else [""] * len(names))
    axes.set_yticks(range(len(names)), shown if left else [""] * len(names))
